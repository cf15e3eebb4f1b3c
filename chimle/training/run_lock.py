"""The lock of a run: one process at a time, or one group of ranks, computes it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chimle.errors import UserError
from chimle.io.files import locked

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
        UserError: another process computes the run.
    """
    wait = bool(os.environ.get(WAIT))
    message = f"{run}: another process computes this run, waiting"
    with locked(path, wait=wait, on_wait=lambda: print(message, flush=True)) as lock:
        if lock is None:
            raise UserError(
                f"{run}: another process computes this run: let it end, or stop it to continue "
                f"from its state, {path.parent}"
            )
        yield
