"""A bucket's prefix, or one archive in a bucket."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from chimle.data.fetch.checksums import ChecksumStore, Known, Version
from chimle.data.fetch.download import retry
from chimle.data.fetch.sources.bucket import Bucket, BucketFile, StoredObject
from chimle.data.fetch.sources.pinned import ACCEPT, RemoteFile, fetch_and_unpack, warn_unseen
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.data.file_names import BadNameError, Names
from chimle.errors import TransientError, UserError
from chimle.settings.source import S3Source

_RETRIES = 4
"""Further attempts after a body that broke off; boto3 itself tries requests again."""


class Prefix:
    """All objects below a prefix, as files."""

    def __init__(self, bucket: Bucket, place: Workspace) -> None:
        self.bucket, self.settings = bucket, bucket.settings
        self.ledger, self.address = (
            ChecksumStore(place.checksums, place.scratch),
            bucket.settings.address,
        )

    @cached_property
    def objects(self) -> list[StoredObject]:
        """What the first listing found; everything is held to it."""
        return self._listed()

    def fingerprint(self) -> dict[str, Any]:
        """Bytes, and a hash over keys, sizes and ETags."""
        known = self.ledger.get(self.address)
        try:
            found = _summary(self.objects if known is None else self._look())
        except TransientError as error:
            assert known is not None  # Otherwise patience turned it into a `UserError`.
            warn_unseen(self.address, error)
            found = known
        if known and known.sha256 != found.sha256:
            raise UserError(f"{self.address} has changed since it was first fetched: {ACCEPT}")
        return {"sha256": found.sha256, "size": found.version.size}

    def bring(self, work: Path) -> Collection:
        """Fetch the objects that are not here yet."""
        tree = work / "tree"
        tree.mkdir(parents=True, exist_ok=True)
        found = _summary(self.objects)
        known = self.ledger.get(self.address)
        if known and known.sha256 != found.sha256:
            raise UserError(f"{self.address} has changed since it was first fetched: {ACCEPT}")
        self._bounded()
        self._transfer(tree)
        if _summary(self._listed()).sha256 != found.sha256:
            raise UserError(f"{self.address} changed while it was fetched: run again")
        objects = {one.name: one for one in self.objects}

        def origin(path: str) -> Mapping[str, str]:
            one = objects[path.removeprefix(f"{tree}/")]
            return {"source": self.bucket.address_of(one), "version": one.etag.strip('"')}

        collection = select(self.settings, tree, origin)
        return replace(collection, record=lambda: self.ledger.record(self.address, found))

    def forget(self) -> None:
        """Forget what was listed."""
        self.ledger.forget([self.address])

    def _look(self) -> list[StoredObject]:
        """A listing without patience, kept for `bring`."""
        found = list(self.bucket.objects())
        self.__dict__["objects"] = found  # What `cached_property` would keep.
        return found

    def _listed(self) -> list[StoredObject]:
        found: list[StoredObject] = []

        def look() -> None:
            found[:] = self.bucket.objects()

        retry(self.address, _RETRIES, look)
        return found

    def _bounded(self) -> None:
        """Refuse too much, and names that stand in each other's way."""
        if not self.objects:
            raise UserError(f"{self.address} holds no objects: mend `source.address`")
        if len(self.objects) > self.settings.most_files:
            raise UserError(
                f"{self.address} holds {len(self.objects):,} objects, more than "
                f"`source.most_files` {self.settings.most_files:,}: raise that"
            )
        size = sum(one.size for one in self.objects)
        if size > self.settings.most_bytes:
            raise UserError(
                f"{self.address} holds {size:,} bytes, more than "
                f"`source.most_bytes` {self.settings.most_bytes:,}: raise that"
            )
        names = Names()
        for one in self.objects:
            try:
                names.add(one.name)
            except BadNameError as error:
                address = self.bucket.address_of(one)
                raise UserError(f"{address} {error}: rename it or narrow the prefix") from None

    def _transfer(self, tree: Path) -> None:
        """Fetch in parallel; the first failure ends it.

        The folder belongs to this listing alone, so a whole file in it is the object's.
        """
        missing = [one for one in self.objects if not _is_here(one, tree)]
        if len(missing) < len(self.objects):
            kept = len(self.objects) - len(missing)
            print(f"fetch: {self.address}: {kept:,} objects are here already", flush=True)
        with ThreadPoolExecutor(self.settings.transfers) as pool:
            for start in range(0, len(missing), 1000):
                batch = missing[start : start + 1000]
                futures = [pool.submit(self._bring_one, one, tree) for one in batch]
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done() and not future.cancelled() and future.exception():
                        pool.shutdown(cancel_futures=True)
                        future.result()
                done = start + len(batch)
                print(f"fetch: {self.address}: {done:,} of {len(missing):,} objects", flush=True)

    def _bring_one(self, one: StoredObject, tree: Path) -> None:
        path = tree / one.name
        part = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        address = self.bucket.address_of(one)
        retry(address, _RETRIES, lambda: self.bucket.receive(one, part))
        part.replace(path)


def _is_here(one: StoredObject, tree: Path) -> bool:
    path = tree / one.name
    return path.is_file() and path.stat().st_size == one.size


def _summary(objects: list[StoredObject]) -> Known:
    state = hashlib.sha256()
    for one in objects:
        state.update(f"{one.key}\0{one.size}\0{one.etag}\0".encode())
    return Known(state.hexdigest(), Version(sum(one.size for one in objects)))


class S3:
    """What lies in a bucket."""

    def __init__(self, settings: S3Source, place: Workspace) -> None:
        self.settings = settings
        bucket = Bucket(settings)
        whole = not bucket.key or bucket.key.endswith("/")
        self._prefix = Prefix(bucket, place) if whole else None
        self._file = RemoteFile(
            BucketFile(bucket),
            settings.address,
            settings.sha256,
            place,
            retries=_RETRIES,
            largest=settings.most_bytes,
        )

    def fingerprint(self) -> dict[str, Any]:
        """What tells versions apart: of the objects' listing, or of the archive."""
        return self._prefix.fingerprint() if self._prefix else self._file.fingerprint()

    def bring(self, work: Path) -> Collection:
        """Fetch what is not here yet; unpack an archive."""
        if self._prefix:
            return self._prefix.bring(work)
        return fetch_and_unpack([self._file], self.settings, work)

    def forget(self) -> None:
        """Take what lies there now for what should."""
        (self._prefix or self._file).forget()
