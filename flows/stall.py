"""Stall limit: a command without progress for too long is ended, so that a retry can continue."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chimle.io.durations import duration

_POLL_SHARE = 0.1
_MAX_POLL_SECONDS = 10.0


@dataclass(frozen=True)
class StallLimit:
    """How long a training may make no progress: print no line and write no state.

    Attributes:
        seconds: the limit.
        states: folder whose files are the training's states.
    """

    seconds: float
    states: Path

    def last_state(self) -> float:
        """When the newest state was written; 0 if there is none."""
        newest = 0.0
        for file in self.states.rglob("*"):
            try:
                newest = max(newest, file.stat().st_mtime)
            except OSError:
                continue
        return newest

    def __str__(self) -> str:
        return f"no progress for {duration(self.seconds)}"


class StallWatch:
    """Watches one command.

    Attributes:
        stalled: whether the command was ended for lack of progress.
    """

    def __init__(self, limit: StallLimit, end: Callable[[], None]) -> None:
        self.limit, self.end, self.stalled = limit, end, False
        # Not the time of day: it jumps where a clock is set or a machine sleeps.
        self._last, self._done = time.monotonic(), threading.Event()
        self._newest = limit.last_state()

    def note_progress(self) -> None:
        """The command has printed a line."""
        self._last = time.monotonic()

    @contextmanager
    def running(self) -> Iterator["StallWatch"]:
        """Watch until the block ends."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._done.set()
            thread.join()

    def _watch(self) -> None:
        pause = min(self.limit.seconds * _POLL_SHARE, _MAX_POLL_SECONDS)
        while not self._done.wait(pause):
            newest = self.limit.last_state()
            if newest != self._newest:
                self._newest = newest
                self.note_progress()
            if time.monotonic() - self._last > self.limit.seconds:
                self.stalled = True
                self.end()
                return
