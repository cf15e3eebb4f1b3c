"""Progress of a training: a live line in a terminal, else one line per round."""

import math
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.status import Status

from chimle.io.durations import duration
from chimle.training.throughput import usage_text


class Progress:
    """Reports a run: round, phase, loss per level, candidates per second, time left."""

    def __init__(self, task: str, rounds: int | None, steps: int, verbose: bool = True) -> None:
        """Begin.

        Args:
            task: what is trained.
            rounds: how many; None where time and not their number ends the run.
            steps: of a round.
            verbose: False: print nothing, as another process does.
        """
        self.task, self.rounds, self.steps, self.verbose = task, rounds, steps, verbose
        self.live: Status | None = None
        if verbose and sys.stderr.isatty():
            self.live = Console(stderr=True).status(f"{task}: starting")
            self.live.start()
        self.started = time.monotonic()
        self.rate = 0.0
        self.first: float | None = None

    def _round(self, round_: int) -> str:
        return f"round {round_ + 1}" + (f"/{self.rounds}" if self.rounds else "")

    def _show(self, text: str) -> None:
        if self.live:
            self.live.update(f"{self.task}: {text}")

    def resumed(self, round_: int, step: int) -> None:
        """The run continues from a saved state."""
        self._line(f"continues from round {round_ + 1}, step {step}")

    def searching(self, round_: int, images: int) -> None:
        """A round's search begins."""
        self.started = time.monotonic()
        self._show(f"{self._round(round_)} · search over {images} images")

    def searched(self, candidates: int) -> None:
        """A search over that many candidates ended."""
        self.rate = candidates / max(time.monotonic() - self.started, 1e-9)

    def stepped(
        self, round_: int, step: int, losses: Sequence[float], usage: dict[str, float]
    ) -> None:
        """Gradient step `step` of a round is done, with these losses per level and throughput."""
        done = (round_ + step / self.steps) / (self.rounds or math.inf)
        now = time.monotonic()
        if self.first is None:
            self.first, self.first_done = now, done
        gained = done - self.first_done
        left = (now - self.first) / gained * (1 - done) if gained > 0 else None
        levels = " ".join(f"{loss:.3f}" for loss in losses)
        self._show(
            f"{self._round(round_)} · step {step}/{self.steps} · loss {levels} · "
            f"{self.rate:.0f} candidates/s, {usage_text(usage)}"
            + (f" · {duration(left)} left" if left else "")
        )

    def round_done(self, round_: int, losses: Sequence[float], usage: dict[str, float]) -> None:
        """A round ended; this line stays."""
        levels = " ".join(f"{loss:.3f}" for loss in losses)
        self._line(
            f"{self._round(round_)}: loss per level {levels}, "
            f"{self.rate:.0f} candidates/s, {usage_text(usage)}, "
            f"{duration(time.monotonic() - self.started)}"
        )

    def _line(self, text: str) -> None:
        if self.verbose:
            print(f"{self.task}: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the live line."""
        if self.live:
            self.live.stop()
