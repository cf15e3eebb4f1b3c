"""A bucket's prefix, or one archive in a bucket."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chimle import s3
from chimle.data.checksums import Known, Ledger, Version
from chimle.data.download import PassingError, Reply, patiently
from chimle.data.names import BadNameError, Names, printable, safe_name
from chimle.data.sources.base import Collection, Place
from chimle.data.sources.kept import ACCEPT, RemoteFile, unpacked, warn_unseen
from chimle.data.sources.selection import select
from chimle.errors import UserError
from chimle.settings.source import S3Source

_PIECE = 2**18
_RETRIES = 4
"""Further attempts after a body that broke off; boto3 itself tries requests again."""


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of a listing.

    Attributes:
        key: its key.
        name: what of the key comes after the prefix.
        size: bytes.
        etag: entity tag.
    """

    key: str
    name: str
    size: int
    etag: str


class Bucket:
    """What is asked of a bucket; every refusal is a `UserError` or may pass."""

    def __init__(self, settings: S3Source) -> None:
        self.settings = settings
        self.name, _, self.key = settings.address.removeprefix("s3://").partition("/")

    @cached_property
    def client(self) -> Any:
        """The connection; made when it is first used."""
        chosen = self.settings
        return s3.connect(
            endpoint=chosen.endpoint,
            region=chosen.region,
            profile=chosen.profile,
            unsigned=chosen.unsigned,
            connections=chosen.transfers + 2,
        )

    @contextmanager
    def refusals(self, address: str) -> Iterator[None]:
        """Turn what boto3 raises into what the caller may raise."""
        client = self.client
        assert client is not None
        try:
            yield
        except s3.errors() as error:
            if s3.may_pass(error):
                raise PassingError(s3.why(error)) from None
            raise UserError(f"{address} cannot be read ({s3.why(error)}): {_mend(error)}") from None

    def objects(self) -> Iterator[_Object]:
        """All objects below the prefix, page by page, in the order of their keys.

        Raises:
            UserError: it cannot be listed, or a key is no name for a file.
            PassingError: the service is busy or cannot be reached.
        """
        with self.refusals(self.settings.address):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=self.key):
                for found in page.get("Contents", ()):
                    if (one := self._object(found)) is not None:
                        yield one

    def _object(self, found: dict[str, Any]) -> _Object | None:
        key = found["Key"]
        name = key.removeprefix(self.key)
        if name.endswith("/") or not name:
            if found["Size"]:
                raise self._bad(key, "has the name of a folder but content")
            return None
        try:
            return _Object(key, safe_name(name), found["Size"], found["ETag"])
        except BadNameError as error:
            raise self._bad(key, str(error)) from None

    def _bad(self, key: str, why: str) -> UserError:
        return UserError(f"s3://{self.name}/{printable(key)} {why}: rename it or narrow the prefix")


def _mend(error: BaseException) -> str:
    match s3.why(error):
        case "no credentials were found":
            return "set some up for boto3, or `source.unsigned: true` for a public bucket"
        case "access is denied":
            return "ask its owner, or choose another `source.profile`"
        case "the region is another one" | "the region is missing or not valid":
            return "mend `source.region`"
        case "there is no such object" | "there is no such bucket or object":
            return "mend `source.address`, whose end is / if it is a prefix"
        case "it has changed":
            return "run again"
        case _:
            return "mend `source.address` or the credentials"


class BucketFile:
    """One object (`download.Remote`)."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    @property
    def name(self) -> str:
        """Its address."""
        return self.bucket.settings.address

    def probe(self) -> Version:
        """Its version now."""
        with self.bucket.refusals(self.name):
            head = self.bucket.client.head_object(Bucket=self.bucket.name, Key=self.bucket.key)
        return _version(head, head["ContentLength"])

    @contextmanager
    def open(self, start: int, version: Version) -> Iterator[Reply]:
        """Its bytes; see `download.Remote`."""
        where = {"Bucket": self.bucket.name, "Key": self.bucket.key}
        client = self.bucket.client
        with self.bucket.refusals(self.name):
            got = None
            if start and version.etag:
                try:
                    got = client.get_object(**where, Range=f"bytes={start}-", IfMatch=version.etag)
                except s3.errors() as error:
                    if s3.status(error) not in (412, 416):
                        raise
            if got is None:  # There is nothing to continue.
                start, got = 0, client.get_object(**where)
        with closing(got["Body"]) as body:
            total = start + got["ContentLength"]
            yield Reply(_version(got, total), start, _pieces(self.bucket, self.name, body))


def _version(head: dict[str, Any], size: int) -> Version:
    return Version(size, head.get("ETag"), None, head.get("VersionId"))


def _pieces(bucket: Bucket, address: str, body: Any) -> Iterator[bytes]:
    with bucket.refusals(address):
        yield from body.iter_chunks(_PIECE)


class Prefix:
    """All objects below a prefix, as files."""

    def __init__(self, bucket: Bucket, place: Place) -> None:
        self.bucket, self.settings = bucket, bucket.settings
        self.ledger, self.address = Ledger(place), bucket.settings.address

    @cached_property
    def objects(self) -> list[_Object]:
        """What the first listing found; everything is held to it."""
        return self._listed()

    def now(self) -> dict[str, Any]:
        """Bytes, and a hash over keys, sizes and ETags."""
        known = self.ledger.get(self.address)
        try:
            found = _summary(self.objects if known is None else self._look())
        except PassingError as error:
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
        self.ledger.record(self.address, found)
        objects = {one.name: one for one in self.objects}

        def origin(path: str) -> Mapping[str, str]:
            one = objects[path.removeprefix(f"{tree}/")]
            source = f"s3://{self.bucket.name}/{one.key}"
            return {"source": source, "version": one.etag.strip('"')}

        return select(self.settings, tree, origin)

    def forget(self) -> None:
        """Forget what was listed."""
        self.ledger.forget([self.address])

    def _look(self) -> list[_Object]:
        """A listing without patience, kept for `bring`."""
        found = list(self.bucket.objects())
        self.__dict__["objects"] = found  # What `cached_property` would keep.
        return found

    def _listed(self) -> list[_Object]:
        found: list[_Object] = []

        def look() -> None:
            found[:] = self.bucket.objects()

        patiently(self.address, _RETRIES, look)
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
                address = f"s3://{self.bucket.name}/{printable(one.key)}"
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

    def _bring_one(self, one: _Object, tree: Path) -> None:
        address = f"s3://{self.bucket.name}/{printable(one.key)}"
        path = tree / one.name
        part = path.with_name(f".{path.name[:200]}.part")
        path.parent.mkdir(parents=True, exist_ok=True)

        def receive() -> None:
            with self.bucket.refusals(address):
                got = self.bucket.client.get_object(
                    Bucket=self.bucket.name, Key=one.key, IfMatch=one.etag
                )
                with closing(got["Body"]) as body, part.open("wb") as stream:
                    for piece in body.iter_chunks(_PIECE):
                        stream.write(piece)
            if part.stat().st_size != one.size:
                raise PassingError(f"{part.stat().st_size:,} of {one.size:,} bytes came")

        patiently(address, _RETRIES, receive)
        part.replace(path)


def _is_here(one: _Object, tree: Path) -> bool:
    path = tree / one.name
    return path.is_file() and path.stat().st_size == one.size


def _summary(objects: list[_Object]) -> Known:
    state = hashlib.sha256()
    for one in objects:
        state.update(f"{one.key}\0{one.size}\0{one.etag}\0".encode())
    return Known(state.hexdigest(), Version(sum(one.size for one in objects)))


class S3:
    """What lies in a bucket."""

    def __init__(self, settings: S3Source, place: Place) -> None:
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

    def now(self) -> dict[str, Any]:
        """What tells versions apart: of the objects' listing, or of the archive."""
        return self._prefix.now() if self._prefix else self._file.now()

    def bring(self, work: Path) -> Collection:
        """Fetch what is not here yet; unpack an archive."""
        if self._prefix:
            return self._prefix.bring(work)
        return unpacked([self._file.bring()], self.settings, work)

    def forget(self) -> None:
        """Take what lies there now for what should."""
        (self._prefix or self._file).forget()
