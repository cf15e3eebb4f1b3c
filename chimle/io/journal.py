"""Resumable parallel work: apply a function to many items and append the results to a file."""

import json
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

from chimle.errors import UserError
from chimle.io.end_after import end_after
from chimle.io.files import names_written

T = TypeVar("T")

INLINE_LIMIT = 96
"""Up to so many items are processed in this process: starting others takes longer."""
_CHUNK = 16
"""Items per task of a worker."""
_AHEAD = 3
"""Pending chunks per worker; bounds memory."""
_REPORT_INTERVAL = 10.0
"""Seconds between two progress lines."""

Work = Callable[[T], dict[str, Any]]


def _watch_parent() -> None:
    """End this worker when its parent has ended, even by SIGKILL; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    end_after(parent.join)


def _usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows tell no more.


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in the block compute with one thread each: there is one per core."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes started in the block never get SIGINT, not even before `_watch_parent` runs."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # Where it starts later, it unblocks the signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _do(work: Work[T], items: Sequence[T]) -> list[dict[str, Any]]:
    return [work(item) for item in items]


def _results(work: Work[T], items: Sequence[T], workers: int) -> Iterator[dict[str, Any]]:
    """Results of `work` for every item, in order."""
    if workers == 1 or len(items) <= INLINE_LIMIT:
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
                with _sigint_blocked():
                    pending.append(pool.submit(_do, work, items[start : start + _CHUNK]))
                if len(pending) > workers * _AHEAD:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, as happens when memory runs out: run it again, "
                "on fewer cores (taskset) if need be; finished items are kept"
            ) from None
        finally:
            for future in pending:
                future.cancel()


def _is_record(line: bytes) -> bool:
    """Whether a line is a complete record."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _finished(journal: Path) -> int:
    """Number of complete records at a journal's beginning; what follows is removed.

    After a kill the last line may be incomplete; after a loss of power any block may be zeros.
    """
    if not journal.exists():
        return 0
    count = end = 0
    with journal.open("rb+") as stream:
        for line in stream:
            if not _is_record(line):
                break
            count, end = count + 1, end + len(line)
        stream.truncate(end)
    return count


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """JSON objects of a file with one per line."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def journalled(
    journal: Path,
    items: Sequence[T],
    work: Work[T],
    *,
    workers: int | None = None,
    report: Callable[[str], None] = lambda _text: None,
) -> int:
    """Append `work(item)` to a journal, one JSON object per line, for the items that it lacks.

    Lines are in the order of the items, so the journal of a killed run is continued where it ends.
    `work` must be importable, and everything that it writes must be complete when it returns.

    Args:
        journal: file to continue; its lines must come from the same items and work.
        items: all items.
        work: function of an item, called in this or another process.
        workers: processes; None: one per core.
        report: called every few seconds with the progress.

    Returns:
        Number of items that were done already.

    Raises:
        UserError: the first that `work` raises, or a worker was killed; finished items stay.
    """
    done = _finished(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    started = reported = time.monotonic()
    with names_written(journal), journal.open("a", encoding="utf-8") as stream:
        results = _results(work, items[done:], workers or _usable_cores())
        for number, result in enumerate(results, start=1):
            stream.write(json.dumps(result, separators=(",", ":")) + "\n")
            stream.flush()
            if time.monotonic() - reported > _REPORT_INTERVAL:
                reported = time.monotonic()
                rate = number / (reported - started)
                report(f"{done + number:,} of {len(items):,}, {rate:.0f} per second")
    return done
