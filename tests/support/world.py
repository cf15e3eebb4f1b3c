"""A project with good data in it, to which a bad input is added."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from tests.support.misbehaving import Site
from tests.support.projects import write_project

TASK = "decompression"
Member = tuple[str, bytes]


def png(size: tuple[int, int] = (40, 36)) -> bytes:
    """A good image."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


def tar(*members: Member | tarfile.TarInfo, mode: str = "w") -> bytes:
    """A tar archive; a bare header stands for an entry without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def header(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A tar entry of another kind than a file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_(*members: Member | tuple[zipfile.ZipInfo, bytes], packed: bool = True) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@cache
def s3_client(address: str) -> Any:
    """A connection to a server, made once: that takes longer than most tests."""
    import boto3

    return boto3.client("s3", endpoint_url=address)


@dataclass
class World:
    """Where a bad input is made.

    Attributes:
        root: the project.
        site: an HTTP server of this process.
        s3: address of a server that speaks S3.
        patch: undone after the test.
    """

    root: Path
    site: Site
    s3: str
    patch: pytest.MonkeyPatch

    def source(self, kind: str, **fields: Any) -> None:
        """Make the task read a source."""
        write_project(self.root, {TASK: {"source": {"kind": kind, **fields}}})

    def url(self, address: str, **fields: Any) -> None:
        """Make the task read one address, with few retries."""
        self.source("url", archives=[address], **{"timeout_seconds": 10, "retries": 1, **fields})

    def archive(self, content: bytes, name: str = "in/bad.tar", **fields: Any) -> None:
        """Make the task read an archive of this machine."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.url(name, **fields)

    def serve(self, content: bytes = b"", path: str = "/a.tar", **behaviour: Any) -> str:
        """Make the task read an address of the server; returns it."""
        address = self.site.put(path, content, **behaviour)
        self.url(address)
        return address

    def image(self, content: bytes, name: str = "bad.png", **fields: Any) -> None:
        """Make the task read a folder that holds a good and another image."""
        folder = self.root / "photos"
        folder.mkdir(exist_ok=True)
        (folder / "good.png").write_bytes(png())
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        self.source("folder", **{"path": "photos", **fields})

    def client(self) -> Any:
        """A connection to the S3 server."""
        return s3_client(self.s3)

    def bucket(self, *objects: Member, key: str = "set/", **fields: Any) -> str:
        """Make the task read a new bucket with objects; returns the bucket's name."""
        name = f"bucket-{uuid4().hex[:12]}"
        client = self.client()
        client.create_bucket(Bucket=name)
        for object_key, content in objects:
            client.put_object(Bucket=name, Key=object_key, Body=content)
        self.source("s3", address=f"s3://{name}/{key}", endpoint=self.s3, **fields)
        return name

    def edit(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Change a file of the project."""
        file = self.root / path
        file.write_bytes(change(file.read_bytes()))
