"""Ends all that one `make serve` has started: at its end, and should it be killed.

`python -m flows.serve_guard PIPE ROOT`: `PIPE` is the reading end of a pipe whose writing end `make
serve` alone holds open. When it dies, by whatever signal, its processes are ended, beside which
another `make serve` could not start, and their work trees in the project `ROOT` are removed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from flows.process_guard import GRACE_SECONDS

TOKEN = "CHIMLE_SERVE"
"""Environment variable that marks every process of one `make serve`."""


def _descendants(token: str) -> list[psutil.Process]:
    """Living processes with this token, whatever their parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def end_descendants(token: str) -> None:
    """End runs that outlived their worker, with all their processes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = _descendants(token)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        psutil.wait_procs(left, timeout=GRACE_SECONDS)


@contextlib.contextmanager
def ended_with(root: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Should this process be killed within the block, all processes with its token are ended.

    Args:
        root: the project.
        env: of the guard; holds the token.
    """
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "flows.serve_guard", str(read_end), str(root)]
    # In a session of its own: Ctrl-C and the end of a terminal must not reach it.
    guard = subprocess.Popen(
        command, cwd=root, env=env, pass_fds=(read_end,), start_new_session=True
    )
    os.close(read_end)
    try:
        yield
    finally:
        guard.kill()
        guard.wait()
        os.close(write_end)


def main(pipe: int, root: Path) -> None:
    """Wait for the end of the pipe, and end what is left."""
    os.read(pipe, 1)
    from flows.worktrees import remove_orphaned  # It loads DVC, for which nobody waits.

    end_descendants(os.environ[TOKEN])
    remove_orphaned(root)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
