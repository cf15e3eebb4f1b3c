"""The same work on many items: on all cores, in order, in bounded memory; a kill loses little."""

import json
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from chimle.errors import UserError

T = TypeVar("T")

FEW = 96
"""So few items are done in this process: starting others takes longer."""
_CHUNK = 16
"""Items that go to a worker at once."""
_AHEAD = 3
"""Chunks per worker that wait or are done but not yet taken; bounds memory."""
_SAY_EVERY = 10.0
"""Seconds between two lines about progress."""

Work = Callable[[T], dict[str, Any]]


def _watch_parent() -> None:
    """End this worker when its parent is gone, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile compute with one thread: there is one of them per core."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _do(work: Work[T], items: Sequence[T]) -> list[dict[str, Any]]:
    return [work(item) for item in items]


def _results(work: Work[T], items: Sequence[T], workers: int) -> Iterator[dict[str, Any]]:
    """`work` of every item, in order."""
    if workers == 1 or len(items) <= FEW:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[list[dict[str, Any]]]] = deque()
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_watch_parent) as pool,
    ):
        try:
            for start in range(0, len(items), _CHUNK):
                pending.append(pool.submit(_do, work, items[start : start + _CHUNK]))
                if len(pending) > workers * _AHEAD:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, as happens when memory runs out: run it again, "
                "on fewer cores (taskset) if need be; what was done is kept"
            ) from None
        finally:
            for future in pending:
                future.cancel()


def _finished(journal: Path) -> int:
    """Number of whole lines of a journal; a line that was being written is cut off."""
    if not journal.exists():
        return 0
    count = end = 0
    with journal.open("rb+") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            count, end = count + 1, end + len(line)
        stream.truncate(end)
    return count


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file that holds one per line."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def journalled(
    journal: Path,
    items: Sequence[T],
    work: Work[T],
    *,
    workers: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Append `work(item)` to a file, a JSON object per line, for the items that it lacks.

    Lines are in the order of items, so a journal that a killed run left is continued where it
    ends. `work` must leave whatever else it makes complete when it returns, and be importable.

    Args:
        journal: file to continue; the same items and work must have made what it holds.
        items: all items.
        work: what to do with each, in this or another process.
        workers: processes; None: one per core.
        say: told every few seconds how far it is.

    Returns:
        How many items were done already.

    Raises:
        UserError: the first that `work` raises, or a worker was killed; what was done before stays.
    """
    done = _finished(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    begun = said = time.monotonic()
    with journal.open("a", encoding="utf-8") as stream:
        results = _results(work, items[done:], workers or len(os.sched_getaffinity(0)))
        for number, result in enumerate(results, start=1):
            stream.write(json.dumps(result, separators=(",", ":")) + "\n")
            stream.flush()
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                rate = number / (said - begun)
                say(f"{done + number:,} of {len(items):,}, {rate:.0f} per second")
    return done
