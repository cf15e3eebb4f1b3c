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
        self.round_began = self.search_began = time.monotonic()
        self.rate: float | None = None
        self.first: float | None = None

    def _round(self, round_: int) -> str:
        return f"round {round_ + 1}" + (f"/{self.rounds}" if self.rounds else "")

    def _show(self, text: str) -> None:
        if self.live:
            self.live.update(f"{self.task}: {text}")

    def resumed(self, round_: int, step: int) -> None:
        """The run continues from a saved state."""
        self._line(f"continues from round {round_ + 1}, step {step}")

    def round_started(self) -> None:
        """A round begins, or goes on where an earlier process stopped."""
        self.round_began, self.rate = time.monotonic(), None

    def searching(self, round_: int, images: int) -> None:
        """A round's search begins."""
        self.search_began = time.monotonic()
        self._show(f"{self._round(round_)} · search over {images} images")

    def searched(self, candidates: int) -> None:
        """A search over that many candidates ended."""
        if candidates:
            self.rate = candidates / max(time.monotonic() - self.search_began, 1e-9)

    def _speed(self, usage: dict[str, float]) -> str:
        """Candidates per second, where this process has searched the round, and throughput."""
        candidates = "" if self.rate is None else f"{self.rate:.0f} candidates/s, "
        return candidates + usage_text(usage)

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
            f"{self._speed(usage)}" + (f" · {duration(left)} left" if left else "")
        )

    def round_done(self, round_: int, losses: Sequence[float], usage: dict[str, float]) -> None:
        """A round ended; this line stays."""
        levels = " ".join(f"{loss:.3f}" for loss in losses)
        self._line(
            f"{self._round(round_)}: loss per level {levels}, "
            f"{self._speed(usage)}, {duration(time.monotonic() - self.round_began)}"
        )

    def _line(self, text: str) -> None:
        if self.verbose:
            print(f"{self.task}: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the live line."""
        if self.live:
            self.live.stop()
