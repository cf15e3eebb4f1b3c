"""How long a run may take, where time and not a number of rounds is its measure."""

import time


class Stopwatch:
    """The seconds that a run has spent, over all processes that it took.

    Args:
        limit: seconds after which the run shall end; None: never.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self._before, self._started = 0.0, time.monotonic()

    def resume(self, spent: float) -> None:
        """Start now, with the seconds that earlier processes took."""
        self._before, self._started = spent, time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return self._before + time.monotonic() - self._started

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.limit is not None and self.spent >= self.limit
