"""Access to an S3 bucket: listing, objects, and errors as user errors."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chimle.data.file_names import BadNameError, printable, safe_name
from chimle.errors import TransientError, UserError
from chimle.io import s3
from chimle.io.download import Reply
from chimle.io.files import names_written
from chimle.io.versions import Version
from chimle.settings.source import S3Source

PAGE = 1000
"""Objects per page of a listing: Amazon's maximum."""
_CHUNK = 2**18


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a listing.

    Attributes:
        key: its key.
        name: the key without the prefix.
        size: bytes.
        etag: entity tag.
    """

    key: str
    name: str
    size: int
    etag: str


class Bucket:
    """A bucket; its errors are `UserError` or `TransientError`."""

    def __init__(self, settings: S3Source) -> None:
        self.settings = settings
        self.name, self.key = s3.split_address(settings.address) or ("", "")

    @cached_property
    def client(self) -> Any:
        """The client, created when it is first used."""
        settings = self.settings
        return s3.connect(
            endpoint=settings.endpoint,
            region=settings.region,
            profile=settings.profile,
            unsigned=settings.unsigned,
            connections=settings.transfers + 2,
            attempts=1,  # `retry` makes further ones.
        )

    @contextmanager
    def translated_errors(self, address: str) -> Iterator[None]:
        """Turn exceptions of boto3 into `UserError` and `TransientError`."""
        client = self.client
        assert client is not None
        try:
            yield
        except s3.errors() as error:
            if s3.is_transient(error):
                raise TransientError(s3.describe(error)) from None
            raise UserError(
                f"{address} cannot be read ({s3.describe(error)}): {_fix(error)}"
            ) from None

    def objects(self) -> Iterator[StoredObject]:
        """All objects below the prefix, page by page, in the order of their keys.

        Raises:
            UserError: it cannot be listed, or a key is no valid file name.
            TransientError: the service is busy or cannot be reached.
        """
        with self.translated_errors(self.settings.address):
            pages = self.client.get_paginator("list_objects_v2")
            size = {"PageSize": PAGE}
            for page in pages.paginate(Bucket=self.name, Prefix=self.key, PaginationConfig=size):
                for found in page.get("Contents", ()):
                    if (object_ := self._object(found)) is not None:
                        yield object_

    def receive(self, object_: StoredObject, path: Path) -> None:
        """Write an object to a path.

        Raises:
            UserError: it cannot be read, or has changed since it was listed.
            TransientError: it broke off.
        """
        with self.translated_errors(self.address_of(object_)):
            got = self.client.get_object(Bucket=self.name, Key=object_.key, IfMatch=object_.etag)
            with closing(got["Body"]) as body, names_written(path), path.open("wb") as stream:
                for chunk in body.iter_chunks(_CHUNK):
                    stream.write(chunk)
        if path.stat().st_size != object_.size:
            raise TransientError(f"{path.stat().st_size:,} of {object_.size:,} bytes came")

    def address_of(self, object_: StoredObject) -> str:
        """An object's address."""
        return f"s3://{self.name}/{object_.key}"

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


def _fix(error: BaseException) -> str:
    match s3.describe(error):
        case s3.NO_CREDENTIALS:
            return "set some up for boto3, or `source.unsigned: true` for a public bucket"
        case "access is denied":
            return "ask its owner, or choose another `source.profile`"
        case "the region is another one" | "the region is missing or not valid":
            return "fix `source.region`"
        case "there is no such object" | "there is no such bucket or object":
            return "fix `source.address`, whose end is / if it is a prefix"
        case "it has changed":
            return "run again"
        case _:
            return "fix `source.address` or the credentials"


class BucketFile:
    """One object (`download.Remote`)."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    @property
    def name(self) -> str:
        """Its address."""
        return self.bucket.settings.address

    def probe(self) -> Version:
        """Its current version."""
        with self.bucket.translated_errors(self.name):
            head = self.bucket.client.head_object(Bucket=self.bucket.name, Key=self.bucket.key)
        return _version(head, head["ContentLength"])

    @contextmanager
    def open(self, start: int, version: Version) -> Iterator[Reply]:
        """Its bytes; see `download.Remote`."""
        where = {"Bucket": self.bucket.name, "Key": self.bucket.key}
        client = self.bucket.client
        with self.bucket.translated_errors(self.name):
            got = None
            if start and version.etag:
                try:
                    got = client.get_object(**where, Range=f"bytes={start}-", IfMatch=version.etag)
                except s3.errors() as error:
                    if s3.status(error) not in (412, 416):
                        raise
            if got is None:  # Nothing can be continued.
                start, got = 0, client.get_object(**where)
        with closing(got["Body"]) as body:
            total = start + got["ContentLength"]
            yield Reply(_version(got, total), start, _chunks(self.bucket, self.name, body))


def _version(head: dict[str, Any], size: int) -> Version:
    return Version(size, head.get("ETag"), None, head.get("VersionId"))


def _chunks(bucket: Bucket, address: str, body: Any) -> Iterator[bytes]:
    with bucket.translated_errors(address):
        yield from body.iter_chunks(_CHUNK)
