"""Exclusive locks on files, which end with the process that holds them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows; `_held_without_fcntl` takes its place.
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(
    path: Path, *, wait: bool = True, on_wait: Callable[[], None] = lambda: None
) -> Iterator[int | None]:
    """Hold an exclusive lock on a file that is created for it.

    The lock is freed when the process ends, however it ends. Where the system has `fcntl`, a child
    that inherits the descriptor keeps the lock when this process dies, and who holds the lock may
    remove the file.

    Args:
        path: the lock file; its folder is created.
        wait: wait for another process that holds the lock.
        on_wait: called before waiting.

    Yields:
        The descriptor that holds the lock; None if another process holds it and `wait` is false.
    """
    descriptor = _open_lock(path)
    try:
        if fcntl is None:
            with _held_without_fcntl(path, wait, on_wait) as held:
                yield descriptor if held else None
            return
        while (held := _lock(descriptor, wait, on_wait)) and not _is_open(path, descriptor):
            os.close(descriptor)
            descriptor = _open_lock(path)
        yield descriptor if held else None
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file, as `locked` takes it.

    The file is neither made nor changed. One that is gone, or another user's, is not held.
    """
    if fcntl is None:
        if not Path(f"{path}.held").exists():
            return False
        with _held_without_fcntl(path, wait=False, on_wait=lambda: None) as free:
            return not free
    try:
        with path.open("rb") as stream:
            return not _lock(stream.fileno(), wait=False, on_wait=lambda: None)
    except OSError:
        return False


def _open_lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _is_open(path: Path, descriptor: int) -> bool:
    """Whether a descriptor is of the file that a path names now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, wait: bool, on_wait: Callable[[], None]) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        on_wait()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return True


@contextmanager
def _held_without_fcntl(path: Path, wait: bool, on_wait: Callable[[], None]) -> Iterator[bool]:
    """The lock as a file beside `path`, in the way that the system offers."""
    lock = FileLock(f"{path}.held")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not wait:
            yield False
            return
        on_wait()
        lock.acquire()
    try:
        yield True
    finally:
        lock.release()
