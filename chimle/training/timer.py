"""How long a run may take, where time and not a number of rounds is its measure."""

import time
from collections.abc import Callable

import torch

Clock = Callable[[], float]
"""Seconds since some moment."""


class Stopwatch:
    """The seconds that a run has spent, over all processes that it took.

    Args:
        limit: seconds after which the run shall end; None: never.
        clock: what counts them.
    """

    def __init__(self, limit: float | None = None, clock: Clock = time.monotonic) -> None:
        self.limit, self.clock = limit, clock
        self._before, self._started = 0.0, clock()

    def resume(self, spent: float) -> None:
        """Start now, with the seconds that earlier processes took."""
        self._before, self._started = spent, self.clock()

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return self._before + self.clock() - self._started


def fair_clock(device: torch.device) -> Clock:
    """The clock that runs are compared by, whatever else the machine does.

    On a CPU, the seconds of processor time of all threads of the process: equal to elapsed time on
    one idle core. On a GPU, elapsed seconds.
    """
    return time.process_time if device.type == "cpu" else time.monotonic
