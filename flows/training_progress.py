"""Progress of a training as a Prefect artifact, read from the lines that training prints."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from chimle.errors import UserError
from chimle.io.durations import duration
from flows.server_errors import server_errors

_ROUND = re.compile(
    r"(?P<task>\w+): round (?P<round>\d+)/(?P<rounds>\d+): loss per level (?P<loss>[\d. einfa+-]+),"
)
_RESUMED = re.compile(r"\w+: continues from round (?P<round>\d+), step \d+")


@dataclass(frozen=True)
class Round:
    """A completed round.

    Attributes:
        number: counted from 1.
        rounds: of the whole training.
        loss: per level, as printed.
    """

    number: int
    rounds: int
    loss: str


def read_round(line: str) -> Round | None:
    """The round that a line of training's output reports; None if it reports none."""
    found = _ROUND.match(line)
    return found and Round(int(found["round"]), int(found["rounds"]), found["loss"].strip())


class TrainingProgress:
    """A progress artifact: the share of completed rounds, the loss, and the time left."""

    def __init__(self, task: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.task, self.clock = task, clock
        self.artifact: UUID | None = None
        self.first: tuple[float, int] | None = None

    def describe(self, done: Round) -> str:
        """Round, loss and time left as one line of markdown."""
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
        """Read one line of training's output; update the artifact if a round ended.

        A training goes on where the server cannot show it.
        """
        if resumed := _RESUMED.match(line):
            # The rate of the earlier process does not count.
            self.first = (self.clock(), int(resumed["round"]) - 1)
        done = read_round(line)
        if done is None:
            return
        share = 100 * done.number / done.rounds
        text = self.describe(done)
        try:
            with server_errors(missing="the artifact was removed"):
                self._show(share, text)
        except UserError:
            self.artifact = None  # The next round makes another one.

    def _show(self, share: float, text: str) -> None:
        if self.artifact is None:
            key = f"training-{self.task.replace('_', '-')}"
            self.artifact = create_progress_artifact(share, key=key, description=text)  # type: ignore[assignment]
        else:
            update_progress_artifact(self.artifact, share, description=text)
