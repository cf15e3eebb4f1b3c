"""The lock of a task's data: one process at a time writes what has been fetched and paired."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chimle.io.file_locks import locked


@contextmanager
def task_lock(root: Path, task: str, stage: str) -> Iterator[None]:
    """Hold the lock of a task's data in a project; wait, and say so, while another process does.

    `fetch` and `pair` share it: two runs of one stage would write the same unfinished work, and
    pairs must not be made of files that are being replaced.

    Args:
        root: the project.
        task: whose data is written.
        stage: the one that waits, for the message.
    """
    # Outside the folders of unfinished work, which are removed while the lock is held.
    path = root / "scratch" / "locks" / f"{task}-data.lock"
    message = f"{stage}: another process writes the data of {task}, waiting"
    with locked(path, on_wait=lambda: print(message, flush=True)):
        yield
