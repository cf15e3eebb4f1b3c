"""A bucket: what is asked of it, and how its refusals are told."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chimle.data.fetch.checksums import Version
from chimle.data.fetch.download import Reply
from chimle.data.file_names import BadNameError, printable, safe_name
from chimle.errors import TransientError, UserError
from chimle.io import s3
from chimle.settings.source import S3Source

PAGE = 1000
"""Objects that are listed at once: what Amazon gives at most."""
_PIECE = 2**18


@dataclass(frozen=True, slots=True)
class StoredObject:
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
        self.name, self.key = s3.split_address(settings.address) or ("", "")

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
            attempts=1,  # `patiently` makes more of them.
        )

    @contextmanager
    def refusals(self, address: str) -> Iterator[None]:
        """Turn what boto3 raises into what the caller may raise."""
        client = self.client
        assert client is not None
        try:
            yield
        except s3.errors() as error:
            if s3.is_transient(error):
                raise TransientError(s3.describe(error)) from None
            raise UserError(
                f"{address} cannot be read ({s3.describe(error)}): {_mend(error)}"
            ) from None

    def objects(self) -> Iterator[StoredObject]:
        """All objects below the prefix, page by page, in the order of their keys.

        Raises:
            UserError: it cannot be listed, or a key is no name for a file.
            PassingError: the service is busy or cannot be reached.
        """
        with self.refusals(self.settings.address):
            pages = self.client.get_paginator("list_objects_v2")
            size = {"PageSize": PAGE}
            for page in pages.paginate(Bucket=self.name, Prefix=self.key, PaginationConfig=size):
                for found in page.get("Contents", ()):
                    if (one := self._object(found)) is not None:
                        yield one

    def receive(self, one: StoredObject, path: Path) -> None:
        """Write an object to a path.

        Raises:
            UserError: it cannot be read, or is not the one of the listing any more.
            PassingError: it broke off.
        """
        with self.refusals(self.address_of(one)):
            got = self.client.get_object(Bucket=self.name, Key=one.key, IfMatch=one.etag)
            with closing(got["Body"]) as body, path.open("wb") as stream:
                for piece in body.iter_chunks(_PIECE):
                    stream.write(piece)
        if path.stat().st_size != one.size:
            raise TransientError(f"{path.stat().st_size:,} of {one.size:,} bytes came")

    def address_of(self, one: StoredObject) -> str:
        """An object's address."""
        return f"s3://{self.name}/{one.key}"

    def _object(self, found: dict[str, Any]) -> StoredObject | None:
        key = found["Key"]
        name = key.removeprefix(self.key)
        if name.endswith("/") or not name:
            if found["Size"]:
                raise self._bad(key, "has the name of a folder but content")
            return None
        try:
            return StoredObject(key, safe_name(name), found["Size"], found["ETag"])
        except BadNameError as error:
            raise self._bad(key, str(error)) from None

    def _bad(self, key: str, why: str) -> UserError:
        return UserError(f"s3://{self.name}/{printable(key)} {why}: rename it or narrow the prefix")


def _mend(error: BaseException) -> str:
    match s3.describe(error):
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
