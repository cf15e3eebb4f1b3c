"""Who holds a file lock, as the holder writes it into the lock file."""

import os
import re
import socket
from contextlib import suppress
from pathlib import Path

_LONGEST = 400
"""Bytes of a note that are read."""
_NOTE = re.compile(r"(?P<process>\d{1,10}) (?P<start>\d+|-) (?P<host>\S+)\n")


def write_holder(lock: int) -> None:
    """Write this process into the lock file.

    Args:
        lock: descriptor that holds the lock.
    """
    os.ftruncate(lock, 0)
    process = os.getpid()
    note = f"{process} {_start_of(process) or '-'} {socket.gethostname() or '-'}\n"
    os.lseek(lock, 0, os.SEEK_SET)
    os.write(lock, note.encode())


def clear_holder(lock: int) -> None:
    """Remove it, while the lock is still held."""
    os.ftruncate(lock, 0)


def read_holder(path: Path) -> str | None:
    """`process NUMBER on HOST`, who holds a lock; None where the file does not say so for certain.

    A process that was killed leaves its note, and a process that it started may hold its lock: of
    this machine only one counts that runs, and has started when the note says.

    Args:
        path: the lock file; its lock is held.
    """
    note = b""
    with suppress(OSError), path.open("rb") as stream:
        note = stream.read(_LONGEST)
    found = _NOTE.fullmatch(note.decode("utf-8", "replace"))
    if found is None:
        return None
    process, host = int(found["process"]), found["host"]
    if host == socket.gethostname() and _start_of(process) != found["start"]:
        return None
    return f"process {process} on {host}"


def _start_of(process: int) -> str | None:
    """When a running process of this machine started, in the kernel's ticks; None: not known."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Behind the name, which is in parentheses and may hold any character: state, ..., start.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]
