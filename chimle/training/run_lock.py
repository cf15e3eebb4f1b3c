"""The lock of a run: one process at a time, or one group of ranks, computes it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chimle.errors import UserError
from chimle.io.file_locks import locked
from chimle.io.lock_holder import clear_holder, read_holder, write_holder

LOCK = ".lock"
"""Name of the lock file in a folder that holds the state of one run."""
WAIT = "CHIMLE_WAIT"
"""Environment variable: set, a run that another process computes is waited for."""


@contextmanager
def run_lock(path: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run. It is freed when the process ends, however it ends.

    With CHIMLE_WAIT another process is waited for, whose result a stage then finds in its state.

    Args:
        path: the lock file; it may be removed with the run's state by who holds it.
        run: the run in words, for messages.

    Raises:
        UserError: another process computes the run; names it where that is certain.
    """
    wait = bool(os.environ.get(WAIT))

    def running() -> str:
        holder = read_holder(path)
        return f"{run}: another process computes this run{f' ({holder})' if holder else ''}"

    with locked(
        path, wait=wait, on_wait=lambda: print(f"{running()}, waiting", flush=True)
    ) as lock:
        if lock is None:
            raise UserError(
                f"{running()}: let it end, or stop it to continue from its state, {path.parent}"
            )
        write_holder(lock)
        try:
            yield
        finally:
            clear_holder(lock)
