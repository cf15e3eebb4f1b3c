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
from pathlib import Path

from PIL import Image

from chimle.data.fetch.unpacking import (
    DAMAGE,
    INSTEAD,
    Bounds,
    Damaged,
    Readable,
    Refused,
    Unpacking,
    damage,
    pieces,
)
from chimle.data.file_names import Names, printable
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES

_BLOCK = tarfile.BLOCKSIZE
_LONGEST_HEADER = 2**20
"""Bytes of a tar entry's extended header: it is read into memory whole."""


class DamagedError(UserError):
    """An archive that broke, perhaps on its way: the same address may well give a whole one."""


class _Member(tarfile.TarInfo):
    """A tar header that is read strictly: tarfile takes a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        if len(buf) == 0:
            raise Damaged("ends early")
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if len(buf) == _BLOCK and not any(buf):
                raise  # The end, as it should be.
            raise Damaged("is damaged inside") from None
        extended = member.type not in tarfile.SUPPORTED_TYPES or member.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if extended and member.size > _LONGEST_HEADER:
            raise Refused("has an entry with an endless header: take another archive")
        return member


class _Counted:
    """A decompressed stream that counts what comes out of it, also between a tar's files."""

    def __init__(self, stream: Readable, largest: int) -> None:
        self.stream, self.left = stream, largest

    def read(self, size: int = -1) -> bytes:
        piece = self.stream.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise Refused("unpacks to far more than it holds files: take another archive")
        return piece


def _unpack_tar(stream: Readable, unpacking: Unpacking) -> None:
    bounds = unpacking.bounds
    # Every entry may have headers and padding; a bomb has nothing but padding.
    counted = _Counted(stream, bounds.bytes + 8 * _BLOCK * (bounds.files + 8))
    try:
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                _unpack_member(tar, member, unpacking)
                tar.members.clear()  # Else all headers stay in memory.
    except DAMAGE as error:
        raise damage(error) from None
    for _ in pieces(counted):  # The checksum comes at the very end.
        pass


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
    name = unpacking.entry(member.name)
    if member.isdir():
        return
    if member.issym() or member.islnk():
        raise Refused(f"holds a link ({printable(member.name)}): {INSTEAD}")
    if not member.isreg() or member.issparse():
        kind = "a sparse file" if member.issparse() else "a device or pipe"
        raise Refused(f"holds {kind} ({printable(member.name)}): {INSTEAD}")
    content = tar.extractfile(member)
    assert content is not None
    unpacking.file(name, content)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """An entry's name; without the flag that says so, most writers use UTF-8 all the same."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    return info.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")


def _unpack_zip(path: Path, unpacking: Unpacking) -> None:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise damage(error) from None
    with archive:
        for info in archive.infolist():
            name = unpacking.entry(_zip_name(info))
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind == stat.S_IFLNK:
                raise Refused(f"holds a link ({printable(name)}): {INSTEAD}")
            if kind not in (0, stat.S_IFREG):
                raise Refused(f"holds a device or pipe ({printable(name)}): {INSTEAD}")
            if info.flag_bits & 1:
                raise Refused(f"is encrypted ({printable(name)}): unpack it yourself")
            try:
                content = archive.open(info)
            except NotImplementedError as error:
                raise Refused(
                    f"holds {printable(name)}, packed in a way that is not known "
                    f"({error}): {INSTEAD}"
                ) from None
            except DAMAGE as error:
                raise damage(error) from None
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


def _pass_through(path: Path, name: str, suffix: str, unpacking: Unpacking) -> None:
    if Path(name).suffix.lower() not in SUFFIXES:
        name = f"{name or 'picture'}{suffix}"
    with path.open("rb") as content:
        unpacking.file(unpacking.entry(name), content)


def _unpack(path: Path, name: str, unpacking: Unpacking) -> None:
    with path.open("rb") as stream:
        head = stream.read(_BLOCK)
    if not head:
        raise Damaged("is empty")
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
    raise Refused("is no tar, zip or picture: name one that is")


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
        DamagedError: it is damaged or cut off.
        UserError: it holds something that is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unpacking = Unpacking(folder, names, bounds)
    try:
        _unpack(path, name, unpacking)
    except Damaged as error:
        raise DamagedError(f"{address} {error}") from None
    except Refused as error:
        raise UserError(f"{address} {error}") from None
    return unpacking.arrived
