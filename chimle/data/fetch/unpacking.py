"""Checks during extraction, shared by all archive formats: names, entries, bytes, damage."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chimle.data.file_names import BadNameError, Names, printable, safe_name
from chimle.io.files import names_written

ALTERNATIVE = "take another archive, or unpack it yourself and use `kind: folder`"
"""Advice after a refusal."""
DAMAGE_ERRORS = (
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
"""Exceptions of archive readers on damaged input; `damage` excludes those of the disk."""
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an extraction.

    Attributes:
        files: number of entries.
        bytes: of all of them together.
    """

    files: int
    bytes: int


class Readable(Protocol):
    """A stream with `read`."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        ...


class Refused(Exception):  # noqa: N818 - becomes a `UserError` with the archive's name
    """A refused archive; the message completes a sentence that begins with its name."""


class Damaged(Refused):
    """The archive is damaged."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: fetch or pack it again")


def damage(error: BaseException, name: str = "") -> Damaged:
    """An error of `DAMAGE_ERRORS` as a refusal; an error of the operating system is raised again.

    Args:
        error: of `DAMAGE_ERRORS`.
        name: of the entry being read.
    """
    if isinstance(error, OSError) and error.errno:
        raise error
    where = f" at {printable(name)}" if name else ""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return Damaged(f"is damaged{where} ({reason})")


def chunks(content: Readable, name: str = "") -> Iterator[bytes]:
    """A stream in chunks; decompression errors become a refusal."""
    while True:
        try:
            chunk = content.read(_CHUNK)
        except DAMAGE_ERRORS as error:
            raise damage(error, name) from None
        if not chunk:
            return
        yield chunk


class Unpacking:
    """The extraction of one archive into a folder."""

    def __init__(self, folder: Path, names: Names, limits: Limits) -> None:
        self.folder, self.names, self.limits = folder, names, limits
        self.received: list[str] = []
        self._entries = self._bytes = 0

    def entry(self, name: str) -> str:
        """Count an entry and return its safe name; `Refused` if it has none."""
        self._entries += 1
        if self._entries > self.limits.files:
            raise Refused(
                f"holds more than the {self.limits.files:,} entries of `source.most_files`: "
                "raise that if you trust it"
            )
        try:
            return safe_name(name)
        except BadNameError as error:
            raise Refused(f"holds {printable(name)}, which {error}: {ALTERNATIVE}") from None

    def file(self, name: str, content: Readable) -> None:
        """Write a file under a safe name; `Refused` if it is taken or a limit is exceeded."""
        try:
            if not name:
                raise BadNameError("is no name of a file")
            self.names.add(name)
        except BadNameError as error:
            raise Refused(f"holds {printable(name) or '.'}, which {error}: {ALTERNATIVE}") from None
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with names_written(path), path.open("wb") as stream:
            for chunk in chunks(content, name):
                self._count(len(chunk))
                stream.write(chunk)
        self.received.append(name)

    def _count(self, size: int) -> None:
        """Count extracted bytes, independently of the headers."""
        self._bytes += size
        if self._bytes > self.limits.bytes:
            raise Refused(
                f"unpacks to more than the {self.limits.bytes:,} bytes of `source.most_bytes`: "
                "raise that if you trust it"
            )
