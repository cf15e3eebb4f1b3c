"""Atomic writes of files and folders, and hashes."""

import errno
import glob
import hashlib
import io
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from chimle.errors import DISK_FULL, UserError, describe_os_error


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
_LONGEST_BEGINNING = 200
"""Bytes of a name at the beginning of temporary names; file systems take at most 255."""
_HASH = 16
"""Digits of the hash that ends a shortened name."""
_WRITE_ERRORS = frozenset({*DISK_FULL, errno.EFBIG})
"""Operating system errors that only writing meets."""


def shortened(name: str, longest: int) -> str:
    """A file name of at most so many bytes; a longer one is cut and ends with a hash of it all."""
    whole = name.encode("utf-8", "surrogateescape")
    if len(whole) <= longest:
        return name
    mark = f"~{hashlib.sha256(whole).hexdigest()[:_HASH]}"
    return whole[: longest - len(mark)].decode("utf-8", "ignore") + mark


def composed(name: str) -> str:
    """A name with every accent in its letter: systems and archives write accents in two ways."""
    return unicodedata.normalize("NFC", name)


def _hidden_name(path: Path, end: str) -> str:
    return f".{shortened(path.name, _LONGEST_BEGINNING)}.{end}"


@contextmanager
def names_written(path: Path) -> Iterator[None]:
    """An error of a full disk in the block names `path`; the system names the source or nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in _WRITE_ERRORS:
            error.filename, error.filename2 = str(path), None
        raise


class _Stream(io.BufferedWriter):
    """A stream that keeps its first error, which a library that writes to it may hide."""

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Write bytes."""
        try:
            return super().write(content)
        except OSError as error:
            self.failure = self.failure or error
            raise


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """A stream to a temporary file beside `path`, renamed to it at the end. The umask applies.

    Where it cannot be written, that is the error, whatever a library makes of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_hidden_name(path, ""), dir=path.parent)
    temporary = Path(name)
    try:
        with names_written(path), _Stream(io.FileIO(handle, "wb")) as stream:
            try:
                yield stream
            except Exception:
                if stream.failure is not None:
                    raise stream.failure from None
                raise
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what processes that were killed left of writing `path` with `replaced_file`.

    Only for who holds a lock on it: another process may be writing it.
    """
    for left in path.parent.glob(f"{glob.escape(_hidden_name(path, ''))}*"):
        left.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside `path`, then rename it."""
    with replaced_file(path) as stream:
        stream.write(content)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode("utf-8"))


def no_file_reason(path: Path) -> str | None:
    """Why a path is no regular file, as the end of a sentence that it begins; None: it is one."""
    if path.is_file():
        return None
    if path.is_dir():
        return "is a folder"
    return "is no regular file" if path.exists() else "does not exist"


def write_other_text(path: Path, content: str) -> bool:
    """`write_text`, where the file is missing or holds another text; returns whether it was."""
    if path.is_file() and path.read_bytes() == content.encode("utf-8"):
        return False
    write_text(path, content)
    return True


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def resolved(path: Path) -> Path:
    """An absolute path without links; what is not there may be named, too.

    Raises:
        UserError: it is a loop of links, which versions of Python report in several ways or not.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a loop of symbolic links: remove or rename it") from None
    return path.resolve()


def put_in_place(folder: Path, path: Path) -> None:
    """Move a finished folder to `path`, replacing what is there, or what it links to.

    Where it lies on another disk it is copied beside `path` first: what is there stays until all
    of the new one is. Whenever the process ends, `folder` is whole or gone.

    Raises:
        UserError: `path` is a loop of links, or a file cannot be copied to its disk.
    """
    path = resolved(path)

    def copied(source: str, target: str) -> None:
        try:
            with names_written(path):
                shutil.copy2(source, target)
        except OSError as error:  # As such, it would only be listed, and the other files copied.
            raise UserError(describe_os_error(error)) from None

    path.parent.mkdir(parents=True, exist_ok=True)
    new, old = (path.with_name(_hidden_name(path, end)) for end in ("new", "old"))
    for left in (new, old):  # By a process that was killed.
        shutil.rmtree(left, ignore_errors=True)
    is_near = folder.stat().st_dev == path.parent.stat().st_dev
    try:
        if not is_near:
            shutil.copytree(folder, new, symlinks=True, copy_function=copied)
        if path.exists():
            path.rename(old)
        shutil.move(folder if is_near else new, path)
        if not is_near:
            _remove_at_once(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _remove_at_once(folder: Path) -> None:
    """Remove a folder, of which a process that ends meanwhile leaves nothing under its name."""
    renamed = folder.with_name(_hidden_name(folder, "removed"))
    shutil.rmtree(renamed, ignore_errors=True)
    folder.rename(renamed)
    shutil.rmtree(renamed)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill; it replaces `path` when the block ends without an error.

    Where `path` is a link, it replaces the folder that it leads to.
    """
    path = resolved(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_hidden_name(path, ""), dir=path.parent))
    try:
        with names_written(path):
            temporary.chmod(0o777 & ~_UMASK)
            yield temporary
            put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
