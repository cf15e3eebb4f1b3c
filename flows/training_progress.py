"""A training's progress as Prefect shows it, read from the lines that training prints."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

_ROUND = re.compile(
    r"(?P<task>\w+): round (?P<round>\d+)/(?P<rounds>\d+): loss per level (?P<loss>[\d. einfa+-]+),"
)
_RESUMED = re.compile(r"\w+: continues from round (?P<round>\d+), step \d+")


@dataclass(frozen=True)
class Round:
    """A round that ended.

    Attributes:
        number: counted from 1.
        rounds: of the whole training.
        loss: per level, as printed.
    """

    number: int
    rounds: int
    loss: str


def read_round(line: str) -> Round | None:
    """The round that a line of training's output tells of, None if it tells of none."""
    found = _ROUND.fullmatch(line) or _ROUND.match(line)
    return found and Round(int(found["round"]), int(found["rounds"]), found["loss"].strip())


def duration(seconds: float) -> str:
    """`2h05m`, `3m10s` or `7s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


class TrainingProgress:
    """Keeps a progress artifact: the share of rounds done, the loss, and the time left."""

    def __init__(self, task: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.task, self.clock = task, clock
        self.artifact: UUID | None = None
        self.first: tuple[float, int] | None = None

    def describe(self, done: Round) -> str:
        """Round, loss and time left in one line of markdown."""
        now = self.clock()
        start, number = self.first or (now, done.number)
        self.first = (start, number)
        text = f"**{self.task}**: round {done.number} of {done.rounds}, loss per level {done.loss}"
        if done.number == done.rounds:
            return f"{text}, done"
        if done.number == number:
            return text
        left = (now - start) / (done.number - number) * (done.rounds - done.number)
        return f"{text}, {duration(left)} left"

    def read(self, line: str) -> None:
        """Take notice of one line of training's output."""
        if resumed := _RESUMED.match(line):
            # The rate of the process before is not this one's.
            self.first = (self.clock(), int(resumed["round"]) - 1)
        done = read_round(line)
        if done is None:
            return
        share = 100 * done.number / done.rounds
        text = self.describe(done)
        if self.artifact is None:
            key = f"training-{self.task.replace('_', '-')}"
            self.artifact = create_progress_artifact(share, key=key, description=text)  # type: ignore[assignment]
        else:
            update_progress_artifact(self.artifact, share, description=text)
