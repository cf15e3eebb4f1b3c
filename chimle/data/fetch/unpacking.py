"""What is watched while an archive of any kind is unpacked."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chimle.data.file_names import BadNameError, Names, printable, safe_name

INSTEAD = "take another archive, or unpack it yourself and use `kind: folder`"
"""What a person can do about a refusal."""
DAMAGE = (
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
"""What readers of archives raise on damaged ones; `damage` tells a full disk apart."""
_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be unpacked at most.

    Attributes:
        files: entries.
        bytes: of all of them together.
    """

    files: int
    bytes: int


class Readable(Protocol):
    """All that is asked of a stream."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class Refused(Exception):  # noqa: N818 - becomes a `UserError` once the archive's name is known
    """Why an archive is not unpacked; the message ends a sentence that began with its name."""


class Damaged(Refused):
    """It is not as it was packed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: fetch or pack it again")


def damage(error: BaseException, name: str = "") -> Damaged:
    """An error of `DAMAGE` as a refusal; raised again if the operating system means this machine.

    Args:
        error: what was raised.
        name: of the file that was being read.
    """
    if isinstance(error, OSError) and error.errno:
        raise error
    where = f" at {printable(name)}" if name else ""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return Damaged(f"is damaged{where} ({reason})")


def pieces(content: Readable, name: str = "") -> Iterator[bytes]:
    """A stream in pieces; what decompressors raise on damage becomes a refusal."""
    while True:
        try:
            piece = content.read(_PIECE)
        except DAMAGE as error:
            raise damage(error, name) from None
        if not piece:
            return
        yield piece


class Unpacking:
    """One archive on its way into a folder."""

    def __init__(self, folder: Path, names: Names, bounds: Bounds) -> None:
        self.folder, self.names, self.bounds = folder, names, bounds
        self.arrived: list[str] = []
        self._entries = self._bytes = 0

    def entry(self, name: str) -> str:
        """Count an entry; its safe name, `Refused` if it has none."""
        self._entries += 1
        if self._entries > self.bounds.files:
            raise Refused(
                f"holds more than the {self.bounds.files:,} entries of `source.most_files`: "
                "raise that if you trust it"
            )
        try:
            return safe_name(name)
        except BadNameError as error:
            raise Refused(f"holds {printable(name)}, which {error}: {INSTEAD}") from None

    def file(self, name: str, content: Readable) -> None:
        """Write a file of a safe name; `Refused` if that is taken or it is too much."""
        try:
            if not name:
                raise BadNameError("is no name of a file")
            self.names.add(name)
        except BadNameError as error:
            raise Refused(f"holds {printable(name) or '.'}, which {error}: {INSTEAD}") from None
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            for piece in pieces(content, name):
                self._count(len(piece))
                stream.write(piece)
        self.arrived.append(name)

    def _count(self, size: int) -> None:
        """Count unpacked bytes, whatever headers said."""
        self._bytes += size
        if self._bytes > self.bounds.bytes:
            raise Refused(
                f"unpacks to more than the {self.bounds.bytes:,} bytes of `source.most_bytes`: "
                "raise that if you trust it"
            )
