"""A command that is stopped when it gets no further."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LONGEST_SILENCE = 120.0
"""Seconds without progress after which a command that speaks to a server is stopped."""
_LONGEST_PAUSE = 5.0
_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


class StalledError(Exception):
    """A command made no progress; the message says for how long."""


def run_watched(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    written: Path,
    silence: float,
) -> subprocess.CompletedProcess[str]:
    """Run a command until it ends, without input.

    Args:
        command: its arguments.
        cwd: where it runs.
        env: its whole environment.
        written: the folder that it writes to.
        silence: seconds in which it must print something, or change the number of bytes there.

    Raises:
        StalledError: it did not; it has been stopped.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        try:
            _wait(process, (out.fileno(), err.fileno()), written, silence)
        finally:
            _stop(process)
        for stream in (out, err):
            stream.seek(0)
        texts = [os.fsdecode(stream.read()) for stream in (out, err)]
    return subprocess.CompletedProcess(command, process.returncode, *texts)


def _wait(
    process: subprocess.Popen[bytes], printed: Sequence[int], written: Path, silence: float
) -> None:
    pause = min(silence / 10, _LONGEST_PAUSE)
    before, since = -1, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
            return
        done = _bytes_in(written) + sum(os.fstat(stream).st_size for stream in printed)
        if done != before:
            before, since = done, time.monotonic()
        elif time.monotonic() - since > silence:
            raise StalledError(f"no progress for {silence:g} seconds")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # Does nothing to a process that has ended.
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder in which another process works."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size
