"""Safe extraction of untrusted archives (tar, zip, single images).

The format is detected from the content, not the name. Entries are streamed and written under
validated names; links, devices, paths out of the folder, duplicates and bombs are refused.
"""

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
from mmap import ACCESS_READ, mmap
from pathlib import Path

from chimle.data.fetch.unpacking import (
    ALTERNATIVE,
    DAMAGE_ERRORS,
    Damaged,
    Limits,
    Readable,
    Refused,
    Unpacking,
    chunks,
    damage,
)
from chimle.data.file_names import Names, printable
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES
from chimle.images.formats import extension_of_content

_BLOCK = tarfile.BLOCKSIZE
_LONGEST_HEADER = 2**20
"""Bytes of a tar entry's extended header: it is read into memory whole."""
_ZIP_ENTRY = b"PK\x03\x04"
"""Signature that every entry of a zip begins with."""
_ZIP_HEADER, _ZIP_LENGTHS = 30, 26
"""Bytes of an entry's header, and where in it the lengths of its name and extra field are."""


class DamagedError(UserError):
    """A damaged archive, perhaps damaged in transit: a new download may be intact."""


class _Member(tarfile.TarInfo):
    """A tar header that is read strictly: tarfile treats a damaged header as the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        if len(buf) == 0:
            raise Damaged("ends early")
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if len(buf) == _BLOCK and not any(buf):
                raise  # The regular end.
            raise Damaged("is damaged inside") from None
        extended = member.type not in tarfile.SUPPORTED_TYPES or member.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if extended and member.size > _LONGEST_HEADER:
            raise Refused("has an entry with an endless header: take another archive")
        return member


class _CountingReader:
    """A decompressed stream with a limit on its bytes, padding between files included."""

    def __init__(self, stream: Readable, limit: int) -> None:
        self.stream, self.remaining = stream, limit

    def read(self, size: int = -1) -> bytes:
        chunk = self.stream.read(size)
        self.remaining -= len(chunk)
        if self.remaining < 0:
            raise Refused("unpacks to far more than its files: take another archive")
        return chunk


def _unpack_tar(stream: Readable, unpacking: Unpacking) -> None:
    limits = unpacking.limits
    # Every entry may have headers and padding; a bomb is nothing but padding.
    counting = _CountingReader(stream, limits.bytes + 8 * _BLOCK * (limits.files + 8))
    try:
        with tarfile.open(fileobj=counting, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                _unpack_member(tar, member, unpacking)
                tar.members.clear()  # Otherwise all headers stay in memory.
            # tarfile takes a header of zeros for the end. Whatever follows it, entries or a second
            # archive, would be lost; a checksum of compressed data is at the very end, too.
            assert tar.fileobj is not None
            for chunk in chunks(tar.fileobj):
                if chunk.strip(b"\0"):
                    raise Damaged("holds data behind its end")
    except DAMAGE_ERRORS as error:
        raise damage(error) from None


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
    name = unpacking.entry(member.name)
    if member.isdir():
        return
    if member.issym() or member.islnk():
        raise Refused(f"holds a link ({printable(member.name)}): {ALTERNATIVE}")
    if not member.isreg() or member.issparse():
        kind = "a sparse file" if member.issparse() else "a device or pipe"
        raise Refused(f"holds {kind} ({printable(member.name)}): {ALTERNATIVE}")
    content = tar.extractfile(member)
    assert content is not None
    unpacking.file(name, content)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """An entry's name; most writers use UTF-8 even without the flag for it."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    return info.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    """Check that no entry of a zip is missing in its directory, which names what is extracted."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            start = info.header_offset
            if not 0 <= start <= size - _ZIP_HEADER:
                raise Damaged("is damaged (an entry begins outside it)")
            if content.find(_ZIP_ENTRY, place, start) >= 0:
                raise Damaged("holds an entry that its directory lacks")
            lengths = struct.unpack_from("<HH", content, start + _ZIP_LENGTHS)
            place = start + _ZIP_HEADER + sum(lengths) + info.compress_size
        if content.find(_ZIP_ENTRY, place, archive.start_dir) >= 0:
            raise Damaged("holds an entry that its directory lacks")


def _unpack_zip(path: Path, unpacking: Unpacking) -> None:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE_ERRORS as error:
        raise damage(error) from None
    with archive:
        _check_directory(path, archive)
        for info in archive.infolist():
            name = unpacking.entry(_zip_name(info))
            if _zip_name(info).endswith("/"):
                if info.file_size:
                    raise Damaged(f"is damaged at {printable(name)} (a folder with content)")
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind == stat.S_IFLNK:
                raise Refused(f"holds a link ({printable(name)}): {ALTERNATIVE}")
            if kind not in (0, stat.S_IFREG):
                raise Refused(f"holds a device or pipe ({printable(name)}): {ALTERNATIVE}")
            if info.flag_bits & 1:
                raise Refused(f"is encrypted ({printable(name)}): unpack it yourself")
            try:
                content = archive.open(info)
            except NotImplementedError as error:
                raise Refused(
                    f"holds {printable(name)}, packed in a way that is not known "
                    f"({error}): {ALTERNATIVE}"
                ) from None
            except DAMAGE_ERRORS as error:
                raise damage(error) from None
            with content:
                unpacking.file(name, content)


def _pass_through(path: Path, name: str, suffix: str, unpacking: Unpacking) -> None:
    if Path(name).suffix.lower() not in SUFFIXES:
        name = f"{name or 'image'}{suffix}"
    with path.open("rb") as content:
        unpacking.file(unpacking.entry(name), content)


def _unpack(path: Path, name: str, unpacking: Unpacking) -> None:
    with path.open("rb") as stream:
        head = stream.read(_BLOCK)
    if not head:
        raise Damaged("is empty")
    if head.startswith((_ZIP_ENTRY, b"PK\x05\x06")):
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
    if suffix := extension_of_content(path):
        return _pass_through(path, name, suffix, unpacking)
    if _is_tar(head):
        with path.open("rb") as stream:
            return _unpack_tar(stream, unpacking)
    raise Refused("is no tar, zip or image: name one that is")


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        return not any(head) and len(head) == _BLOCK and "end of file" in str(error)
    return True


def unpack(
    path: Path, folder: Path, names: Names, limits: Limits, address: str, name: str
) -> list[str]:
    """Extract an archive into a folder, or copy a single image there.

    Files of an earlier attempt are overwritten.

    Args:
        path: the file.
        folder: destination.
        names: of the files there from other archives; the new ones are added.
        limits: of entries and bytes.
        address: name for messages.
        name: file name for a single image.

    Returns:
        The names of its files, in archive order.

    Raises:
        DamagedError: it is damaged, cut off or empty.
        UserError: an entry is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unpacking = Unpacking(folder, names, limits)
    try:
        _unpack(path, name, unpacking)
        if not unpacking.received:
            raise Damaged("holds no files")
    except Damaged as error:
        raise DamagedError(f"{address} {error}") from None
    except Refused as error:
        raise UserError(f"{address} {error}") from None
    return unpacking.received
