"""Runs a command that ends when its parent process ends.

`python process_guard.py PIPE ROOT COMMAND...`: the command gets a process group of its own. `PIPE`
is the reading end of a pipe whose writing end the parent holds open. When the parent dies, by
whatever signal, the pipe ends: the group is terminated, and the parent's work trees in the project
`ROOT` are removed. SIGTERM ends the group too.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL. Training saves atomically and needs no more."""
_POLL_SECONDS = 0.1
_INHERITED = 256


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False if nobody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies.
        return False
    return True


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Terminate the child's whole process group, then kill what is left of it."""
    _signal_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        child.poll()  # Reaps it: a zombie would count as a member.
        if not _signal_group(child.pid, 0):
            return
        time.sleep(_POLL_SECONDS)
    _signal_group(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)


class _TerminatedError(Exception):
    """SIGTERM or SIGINT came."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _TerminatedError


def guard(pipe: int, command: list[str]) -> tuple[int, bool]:
    """Run `command` until it ends or the pipe does.

    Returns:
        Its exit code (negative: the signal that ended it), and whether the parent died first.
    """
    child: subprocess.Popen[bytes] | None = None
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _terminate)
        child = subprocess.Popen(command, start_new_session=True)
        while child.poll() is None:
            if select.select([pipe], [], [], _POLL_SECONDS)[0]:
                return -signal.SIGTERM, True
        return child.returncode, False
    except _TerminatedError:
        return -signal.SIGTERM, False
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if child is not None:
            # Also after its own end: a dvc that was killed leaves its training behind.
            end_group(child)


def main() -> None:
    """The command line."""
    pipe, root, *command = sys.argv[1:]
    code, orphaned = guard(int(pipe), command)
    if orphaned:
        from flows.worktrees import remove_orphaned

        os.closerange(3, _INHERITED)  # Releases the parent's locks, which the child held too.
        remove_orphaned(Path(root))
    sys.exit(128 - code if code < 0 else code)


if __name__ == "__main__":
    main()
