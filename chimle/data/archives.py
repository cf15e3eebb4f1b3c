"""Archives are unpacked with suspicion: what is in them was written by others.

What an archive is, its content says, not its name. Entries are read one after the other and
written under names of ours; links, devices, detours, duplicates and bombs are refused.
"""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from chimle.data.names import BadNameError, Names, printable, safe_name
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES

_PIECE = 2**20
_BLOCK = tarfile.BLOCKSIZE
_LONGEST_HEADER = 2**20
"""Bytes of a tar entry's extended header: it is read into memory whole."""
_DAMAGE = (
    EOFError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
    ValueError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_INSTEAD = "take another archive, or unpack it yourself and use `kind: folder`"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be unpacked at most.

    Attributes:
        files: entries.
        bytes: of all of them together.
    """

    files: int
    bytes: int


class _Readable(Protocol):
    """All that is asked of a stream."""

    def read(self, size: int = -1, /) -> bytes: ...


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Why an archive is not unpacked; the message ends a sentence that began with its name."""


class _Member(tarfile.TarInfo):
    """A tar header that is read strictly: tarfile takes a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        if len(buf) == 0:
            raise _Refused("ends early: fetch or pack it again")
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if len(buf) == _BLOCK and not any(buf):
                raise  # The end, as it should be.
            raise _Refused("is damaged inside: fetch or pack it again") from None
        extended = member.type not in tarfile.SUPPORTED_TYPES or member.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if extended and member.size > _LONGEST_HEADER:
            raise _Refused("has an entry with an endless header: take another archive")
        return member


class _Unpacking:
    """One archive on its way into a folder."""

    def __init__(self, folder: Path, names: Names, bounds: Bounds) -> None:
        self.folder, self.names, self.bounds = folder, names, bounds
        self.arrived: list[str] = []
        self._entries = self._bytes = 0

    def entry(self, name: str) -> str:
        """Count an entry; its safe name."""
        self._entries += 1
        if self._entries > self.bounds.files:
            raise _Refused(
                f"holds more than the {self.bounds.files:,} entries of `source.most_files`: "
                "raise that if you trust it"
            )
        try:
            return safe_name(name)
        except BadNameError as error:
            raise _Refused(f"holds {printable(name)}, which {error}: {_INSTEAD}") from None

    def count(self, size: int) -> None:
        """Count unpacked bytes, whatever headers said."""
        self._bytes += size
        if self._bytes > self.bounds.bytes:
            raise _Refused(
                f"unpacks to more than the {self.bounds.bytes:,} bytes of `source.most_bytes`: "
                "raise that if you trust it"
            )

    def file(self, name: str, content: _Readable) -> None:
        """Write a file of a safe name."""
        try:
            if not name:
                raise BadNameError("is no name of a file")
            self.names.add(name)
        except BadNameError as error:
            raise _Refused(f"holds {printable(name) or '.'}, which {error}: {_INSTEAD}") from None
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            for piece in _read(content, name):
                self.count(len(piece))
                stream.write(piece)
        self.arrived.append(name)


def _read(content: _Readable, name: str = "") -> Iterator[bytes]:
    """Pieces of a stream; what decompressors raise on damage becomes a refusal."""
    while True:
        try:
            piece = content.read(_PIECE)
        except _Refused:
            raise
        except _DAMAGE as error:
            where = f" at {printable(name)}" if name else ""
            raise _Refused(
                f"is damaged{where} ({_reason(error)}): fetch or pack it again"
            ) from None
        if not piece:
            return
        yield piece


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


class _Counted:
    """A decompressed stream that counts what comes out of it, also between a tar's files."""

    def __init__(self, stream: _Readable, largest: int) -> None:
        self.stream, self.left = stream, largest

    def read(self, size: int = -1) -> bytes:
        piece = self.stream.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise _Refused("unpacks to far more than it holds files: take another archive")
        return piece


def _unpack_tar(stream: _Readable, unpacking: _Unpacking) -> None:
    bounds = unpacking.bounds
    # Every entry may have headers and padding; a bomb has nothing but padding.
    counted = _Counted(stream, bounds.bytes + 8 * _BLOCK * (bounds.files + 8))
    try:
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                _unpack_member(tar, member, unpacking)
                tar.members.clear()  # Else all headers stay in memory.
    except _Refused:
        raise
    except _DAMAGE as error:
        raise _Refused(f"is damaged ({_reason(error)}): fetch or pack it again") from None
    for _ in _read(counted):  # The checksum comes at the very end.
        pass


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, unpacking: _Unpacking) -> None:
    name = unpacking.entry(member.name)
    if member.isdir():
        return
    if member.issym() or member.islnk():
        raise _Refused(f"holds a link ({printable(member.name)}): {_INSTEAD}")
    if not member.isreg() or member.issparse():
        kind = "a sparse file" if member.issparse() else "a device or pipe"
        raise _Refused(f"holds {kind} ({printable(member.name)}): {_INSTEAD}")
    content = tar.extractfile(member)
    assert content is not None
    unpacking.file(name, content)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """An entry's name; without the flag that says so, most writers use UTF-8 all the same."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    return info.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")


def _unpack_zip(path: Path, unpacking: _Unpacking) -> None:
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise _Refused(f"is damaged ({_reason(error)}): fetch or pack it again") from None
    with archive:
        for info in archive.infolist():
            name = unpacking.entry(_zip_name(info))
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind == stat.S_IFLNK:
                raise _Refused(f"holds a link ({printable(name)}): {_INSTEAD}")
            if kind not in (0, stat.S_IFREG):
                raise _Refused(f"holds a device or pipe ({printable(name)}): {_INSTEAD}")
            if info.flag_bits & 1:
                raise _Refused(f"is encrypted ({printable(name)}): unpack it yourself")
            try:
                content = archive.open(info)
            except NotImplementedError as error:
                raise _Refused(
                    f"holds {printable(name)}, packed in a way that is not known "
                    f"({_reason(error)}): {_INSTEAD}"
                ) from None
            except _DAMAGE as error:
                reason = _reason(error)
                raise _Refused(f"is damaged ({reason}): fetch or pack it again") from None
            with content:
                unpacking.file(name, content)


def _picture_suffix(path: Path) -> str | None:
    """The ending that a picture file should have; None if it is no picture."""
    try:
        with Image.open(path) as picture:
            kind = (picture.format or "").lower()
    except Exception:  # decoders raise almost anything
        return None
    suffix = {"jpeg": ".jpg", "tiff": ".tif"}.get(kind, f".{kind}")
    return suffix if suffix in SUFFIXES else None


def _pass_through(path: Path, name: str, suffix: str, unpacking: _Unpacking) -> None:
    if Path(name).suffix.lower() not in SUFFIXES:
        name = f"{name or 'picture'}{suffix}"
    with path.open("rb") as content:
        unpacking.file(unpacking.entry(name), content)


def _unpack(path: Path, name: str, unpacking: _Unpacking) -> None:
    with path.open("rb") as stream:
        head = stream.read(_BLOCK)
    if not head:
        raise _Refused("is empty: fetch or pack it again")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _unpack_zip(path, unpacking)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(path) as gz:
            return _unpack_tar(gz, unpacking)
    if head.startswith(b"BZh"):
        with bz2.open(path) as bz:
            return _unpack_tar(bz, unpacking)
    if head.startswith(b"\xfd7zXZ\x00"):
        with lzma.open(path) as xz:
            return _unpack_tar(xz, unpacking)
    if suffix := _picture_suffix(path):
        return _pass_through(path, name, suffix, unpacking)
    if _is_tar(head):
        with path.open("rb") as stream:
            return _unpack_tar(stream, unpacking)
    raise _Refused("is no tar, zip or picture: name one that is")


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        return not any(head) and len(head) == _BLOCK and "end of file" in str(error)
    return True


def unpack(
    path: Path, folder: Path, names: Names, bounds: Bounds, address: str, name: str
) -> list[str]:
    """Unpack an archive, or copy a picture, into a folder.

    What an earlier try left in the folder is written over.

    Args:
        path: the file.
        folder: where its files go.
        names: of what lies there from other archives; the new ones are added.
        bounds: what it may unpack to.
        address: by what messages call it.
        name: what a single picture should be called.

    Returns:
        The names of its files, in their order.

    Raises:
        UserError: it is damaged, or holds something that is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unpacking = _Unpacking(folder, names, bounds)
    try:
        _unpack(path, name, unpacking)
    except _Refused as error:
        raise UserError(f"{address} {error}") from None
    return unpacking.arrived
