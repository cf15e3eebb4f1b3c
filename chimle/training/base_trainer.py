"""Rounds of anything that learns from pairs: saved, resumed, stopped by number or by time.

A run is a pure function of pairs, settings, code and seed. Killed anywhere, it continues from its
last state to the same bits on the same kind of device.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.errors import UserError
from chimle.settings import RunSettings
from chimle.training.distributed import ALONE, Ranks
from chimle.training.progress import Progress
from chimle.training.round_batches import RoundBatches, step_members
from chimle.training.timer import Stopwatch
from chimle.training.training_state import Position, TrainingState

LOG_EVERY = 10
"""Gradient steps between rows of the training curve."""


class BaseTrainer(ABC):
    """What every kind of training shares. A kind says what a round prepares and what a step does.

    Args:
        settings: all that determines the run, beside the pairs.
        pairs: of the training split.
        state: a run's beginning.
        state_file: where the run's state is kept.
        device: where it computes.
        seconds: end after so long, wherever the run stands: to compare methods on equal time. Such
            a run is no longer determined by its settings. None: end after all rounds.
        ranks: the processes that train it.
    """

    def __init__(
        self,
        settings: RunSettings,
        pairs: Sequence[Pair],
        state: TrainingState,
        state_file: Path,
        device: torch.device,
        seconds: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.settings, self.pairs, self.device, self.ranks = settings, pairs, device, ranks
        self.state, self.state_file = state, state_file
        train = settings.train
        rounds = train.rounds if seconds is None else None
        self.progress = Progress(settings.task, rounds, train.steps_per_round, verbose=ranks.first)
        self.saved = time.monotonic()
        self.watch = Stopwatch(seconds)
        self.batches = RoundBatches(settings, pairs)

    @abstractmethod
    def prepare(self, batch: Batch, round_: int) -> None:
        """Whatever a round needs before its first step; called again when a round is resumed."""

    @abstractmethod
    def step(self, part: Batch, members: Tensor, number: int) -> list[float]:
        """One gradient step.

        Args:
            part: this process's share of the step's images.
            members: their rows in the round's batch.
            number: of the step in the run, from 1.

        Returns:
            Means over that share of losses whose sum was minimised; nothing has been changed yet
            where one is not finite.
        """

    def more_columns(self) -> list[float]:
        """What the curve's rows hold behind the losses."""
        return []

    def run_rounds(self) -> None:
        """Train to the end.

        Raises:
            UserError: the loss stops being finite, or the ranks cannot share a step's images.
        """
        train = self.settings.train
        self.ranks.check_batch(min(train.batch_size, train.images_per_round, len(self.pairs)))
        if self.state_file.exists():
            self.state.restore(self.state_file, self.device)
            self.progress.resumed(self.state.position.round, self.state.position.step)
        self.ranks.barrier()  # Before the first of them writes another state.
        self.watch.resume(self.state.position.seconds)
        try:
            while not self.watch.over and (
                self.watch.limit is not None
                or self.state.position.round < self.settings.train.rounds
            ):
                self._round()
        finally:
            self.progress.close()
            self.batches.close()

    def save(self) -> None:
        """Keep the state, whole or not at all."""
        if not self.ranks.first:
            return
        if self.watch.limit is not None:
            self.state.position.seconds = self.watch.spent
        self.state.save(self.state_file)
        self.saved = time.monotonic()

    def _round(self) -> None:
        position, settings = self.state.position, self.settings
        round_ = position.round
        batch = self.batches.get(round_).to(self.device)
        self.prepare(batch, round_)
        losses: list[float] = []
        for step, members in enumerate(step_members(settings, len(batch), round_)):
            if step < position.step:
                continue
            losses = self._step(batch, torch.from_numpy(members).to(self.device), step)
            if self.watch.over:
                self.save()
                return
            if time.monotonic() - self.saved > settings.train.checkpoint_seconds:
                self.save()
        if losses:
            self.progress.round_done(round_, losses)
        self.state.position = Position(
            round=round_ + 1, history=position.history, seconds=position.seconds
        )
        self.save()

    def _step(self, batch: Batch, members: Tensor, step: int) -> list[float]:
        position, settings = self.state.position, self.settings
        number = position.round * settings.train.steps_per_round + step + 1
        own = members[self.ranks.shard(len(members))]
        losses = self._means(self.step(batch.select(own), own, number))
        if not all(map(math.isfinite, losses)):
            raise UserError(
                f"task {settings.task}: the loss became {sum(losses)} in round "
                f"{position.round + 1}, step {step + 1}: lower `train.learning_rate`; the last "
                f"good state is kept in {self.state_file}"
            )
        self.state.optimizer.step()
        self.state.average.update(self.state.network, number)
        position.step = step + 1
        self._log(number, losses)
        return losses

    def _means(self, losses: list[float]) -> list[float]:
        """Over all of a step's images; a process alone has seen all."""
        if self.ranks.count == 1:
            return losses
        return self.ranks.mean(torch.tensor(losses, device=self.device)).tolist()

    def _log(self, number: int, losses: list[float]) -> None:
        position = self.state.position
        if number % LOG_EVERY and position.step != self.settings.train.steps_per_round:
            return
        row = [float(number), float(position.round + 1), sum(losses), *losses]
        position.history.append([*row, *self.more_columns()])
        self.progress.stepped(position.round, position.step, losses)
