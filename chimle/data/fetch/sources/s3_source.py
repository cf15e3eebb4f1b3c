"""S3 source: a bucket's prefix, or one archive in a bucket."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from chimle.data.fetch.checksums import ChecksumStore
from chimle.data.fetch.sources.bucket import Bucket, BucketFile, StoredObject
from chimle.data.fetch.sources.pinned import (
    ACCEPT_HINT,
    RemoteFile,
    fetch_and_unpack,
    warn_unreachable,
)
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.data.file_names import BadNameError, Names
from chimle.errors import TransientError, UserError
from chimle.io.download import retry
from chimle.io.versions import Known, Version
from chimle.settings.source import S3Source

_RETRIES = 4
"""Further attempts for each request."""


class Prefix:
    """All objects below a prefix."""

    def __init__(self, bucket: Bucket, workspace: Workspace) -> None:
        self.bucket, self.settings = bucket, bucket.settings
        self.checksums, self.address = (
            ChecksumStore(workspace.checksums, workspace.scratch),
            bucket.settings.address,
        )

    @cached_property
    def objects(self) -> list[StoredObject]:
        """The first listing, against which later ones are checked."""
        return self._list()

    def fingerprint(self) -> dict[str, Any]:
        """Total bytes, and a hash over keys, sizes and ETags."""
        known = self.checksums.get(self.address)
        try:
            found = _summary(self.objects if known is None else self._list_once())
        except TransientError as error:
            assert known is not None  # Without a record, `retry` raises a `UserError`.
            warn_unreachable(self.address, error)
            found = known
        if known and known.sha256 != found.sha256:
            raise UserError(f"{self.address} has changed since it was first fetched: {ACCEPT_HINT}")
        return {"sha256": found.sha256, "size": found.version.size}

    def fetch(self, work: Path) -> Collection:
        """Fetch the objects that are missing in `work`."""
        tree = work / "tree"
        tree.mkdir(parents=True, exist_ok=True)
        found = _summary(self.objects)
        known = self.checksums.get(self.address)
        if known and known.sha256 != found.sha256:
            raise UserError(f"{self.address} has changed since it was first fetched: {ACCEPT_HINT}")
        self._check_limits()
        self._transfer(tree)
        if _summary(self._list()).sha256 != found.sha256:
            raise UserError(f"{self.address} changed while it was fetched: run again")
        objects = {object_.name: object_ for object_ in self.objects}

        def origin(path: str) -> Mapping[str, str]:
            object_ = objects[path.removeprefix(f"{tree}/")]
            return {"source": self.bucket.address_of(object_), "version": object_.etag.strip('"')}

        collection = select(self.settings, tree, origin)
        return replace(collection, record=lambda: self.checksums.record(self.address, found))

    def forget(self) -> None:
        """Remove the recorded hash of the listing."""
        self.checksums.forget([self.address])

    def _list_once(self) -> list[StoredObject]:
        """One listing without retries, kept for `fetch`."""
        found = list(self.bucket.objects())
        self.__dict__["objects"] = found  # Fills the `cached_property`.
        return found

    def _list(self) -> list[StoredObject]:
        found: list[StoredObject] = []

        def list_all() -> None:
            found[:] = self.bucket.objects()

        retry(self.address, _RETRIES, list_all)
        return found

    def _check_limits(self) -> None:
        """Refuse too many objects or bytes, and names that collide."""
        if not self.objects:
            raise UserError(f"{self.address} holds no objects: fix `source.address`")
        if len(self.objects) > self.settings.most_files:
            raise UserError(
                f"{self.address} holds {len(self.objects):,} objects, more than "
                f"`source.most_files` {self.settings.most_files:,}: raise that"
            )
        size = sum(object_.size for object_ in self.objects)
        if size > self.settings.most_bytes:
            raise UserError(
                f"{self.address} holds {size:,} bytes, more than "
                f"`source.most_bytes` {self.settings.most_bytes:,}: raise that"
            )
        names = Names()
        for object_ in self.objects:
            try:
                names.add(object_.name)
            except BadNameError as error:
                address = self.bucket.address_of(object_)
                raise UserError(f"{address} {error}: rename it or narrow the prefix") from None

    def _transfer(self, tree: Path) -> None:
        """Fetch in parallel; the first failure cancels the rest.

        The folder belongs to this listing alone, so a complete file in it is the object's.
        """
        missing = [object_ for object_ in self.objects if not _is_present(object_, tree)]
        if len(missing) < len(self.objects):
            present = len(self.objects) - len(missing)
            print(f"fetch: {self.address}: {present:,} objects are here already", flush=True)
        with ThreadPoolExecutor(self.settings.transfers) as pool:
            for start in range(0, len(missing), 1000):
                batch = missing[start : start + 1000]
                futures = [pool.submit(self._fetch_object, object_, tree) for object_ in batch]
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done() and not future.cancelled() and future.exception():
                        pool.shutdown(cancel_futures=True)
                        future.result()
                done = start + len(batch)
                print(f"fetch: {self.address}: {done:,} of {len(missing):,} objects", flush=True)

    def _fetch_object(self, object_: StoredObject, tree: Path) -> None:
        path = tree / object_.name
        part = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        address = self.bucket.address_of(object_)
        retry(address, _RETRIES, lambda: self.bucket.receive(object_, part))
        part.replace(path)


def _is_present(object_: StoredObject, tree: Path) -> bool:
    path = tree / object_.name
    return path.is_file() and path.stat().st_size == object_.size


def _summary(objects: list[StoredObject]) -> Known:
    state = hashlib.sha256()
    for object_ in objects:
        state.update(f"{object_.key}\0{object_.size}\0{object_.etag}\0".encode())
    return Known(state.hexdigest(), Version(sum(object_.size for object_ in objects)))


class S3:
    """A prefix, or an archive, in a bucket."""

    def __init__(self, settings: S3Source, workspace: Workspace) -> None:
        self.settings = settings
        bucket = Bucket(settings)
        whole = not bucket.key or bucket.key.endswith("/")
        self._prefix = Prefix(bucket, workspace) if whole else None
        self._file = RemoteFile(
            BucketFile(bucket),
            settings.address,
            settings.sha256,
            workspace,
            retries=_RETRIES,
            largest=settings.most_bytes,
        )

    def fingerprint(self) -> dict[str, Any]:
        """The version of the listing, or of the archive."""
        return self._prefix.fingerprint() if self._prefix else self._file.fingerprint()

    def fetch(self, work: Path) -> Collection:
        """Fetch missing objects, or fetch and extract the archive."""
        if self._prefix:
            return self._prefix.fetch(work)
        return fetch_and_unpack([self._file], self.settings, work)

    def forget(self) -> None:
        """Remove the recorded checksum."""
        (self._prefix or self._file).forget()
