"""Base trainer: rounds of preparation and gradient steps, saved, resumed, ended by number or time.

A run is a pure function of pairs, settings, code and seed. Killed anywhere, it continues from its
last state to the same bits on the same kind of device.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.device import deterministic
from chimle.errors import UserError
from chimle.io.files import remove_unfinished
from chimle.settings.model_settings import ModelSettings
from chimle.training.execution import Execution
from chimle.training.progress import Progress
from chimle.training.round_batches import RoundBatches, first_round, step_members
from chimle.training.schedules import learning_rate_factor
from chimle.training.throughput import Throughput
from chimle.training.timer import Stopwatch
from chimle.training.training_state import TrainingState

CHECKPOINT_SHARE = 0.05
"""Share of the time that writing states may take."""
LOG_EVERY = 10
"""Gradient steps between rows of the training curve; the last of a round, or before the time is up,
has one as well."""


class BaseTrainer(ABC):
    """What every kind of training shares. A kind says what a round prepares and what a step does.

    Args:
        settings: all that determines the run, beside the pairs.
        pairs: of the training split.
        state: a run's beginning.
        execution: where and for how long it computes.
    """

    def __init__(
        self,
        settings: ModelSettings,
        pairs: Sequence[Pair],
        state: TrainingState,
        execution: Execution,
    ) -> None:
        self.settings, self.pairs, self.state = settings, pairs, state
        self.state_file, self.device = execution.state_file, execution.device
        self.kept = execution.kept
        self.ranks, self.logger = execution.ranks, execution.logger
        train = settings.train
        rounds = train.rounds if execution.seconds is None else None
        self.progress = Progress(
            settings.task, rounds, train.steps_per_round, verbose=self.ranks.first
        )
        self.saved, self.save_seconds = time.monotonic(), 0.0
        self.timer, self.spent = Stopwatch(execution.seconds, execution.clock), 0.0
        self.throughput = Throughput(self.device)
        self.batches = RoundBatches(settings, pairs, rounds)
        self.first_bad = torch.zeros((), dtype=torch.int64, device=self.device)
        self.last_losses: list[float] = []
        self.last_usage: dict[str, float] = {}
        for group in state.optimizer.param_groups:
            group.setdefault("full_lr", group["lr"])

    @abstractmethod
    def prepare(self, batch: Batch, round_: int) -> None:
        """Whatever a round needs before its first step; called again when a round is resumed."""

    @abstractmethod
    def step(self, batch: Batch, members: np.ndarray, number: int) -> Tensor:
        """The losses of one gradient step, their gradients left in the network's parameters.

        Args:
            batch: the round's.
            members: (B,) int64, rows of this process's share of the step's images.
            number: of the step in the run, from 1.

        Returns:
            (n,) means over that share of losses whose sum is minimised, still on the device.
        """

    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the training curve's columns: `step`, `round`, `loss`, then one per value."""

    def more_columns(self) -> list[float]:
        """What the curve's rows hold behind the losses."""
        return []

    def finished(self) -> nn.Module:
        """What the run is for: the averaged network."""
        return self.state.average.module

    def run_rounds(self) -> None:
        """Train to the end.

        Raises:
            UserError: the loss or a weight stops being finite, or the ranks cannot share a step's
                images.
        """
        try:
            self._begin()
            with deterministic(self.device, self.settings.train.deterministic):
                while not self._ended():
                    self._round()
        finally:
            self.progress.close()
            self.batches.close()

    def _begin(self) -> None:
        """Go on from the saved state, if there is one."""
        train = self.settings.train
        size = min(train.batch_size, train.images_per_round, len(self.pairs))
        self.ranks.check_batch(size, train.micro_batches, train.batch_size)
        if self.ranks.first:
            remove_unfinished(self.state_file)
        if self.state_file.exists():
            self.state.restore(self.state_file, self.device)
            self.progress.resumed(self.state.position.round, self.state.position.step)
        position = self.state.position
        # Before the first of them writes another state.
        self.ranks.check_same(torch.tensor([position.round, position.step], device=self.device))
        self.timer.resume(position.seconds)

    def save(self) -> None:
        """Keep the state, whole or not at all; `UserError` where a loss or weight is not finite."""
        self._check_finite()
        self._check_weights()
        if not self.ranks.first:
            self.saved = time.monotonic()  # Else every later step would look at its losses.
            return
        if self.timer.limit is not None:
            self.state.position.seconds = self.timer.spent
        begun = time.monotonic()
        self.state.save(self.state_file)
        self.saved = time.monotonic()
        self.save_seconds = self.saved - begun

    def _ended(self) -> bool:
        """Whether no round is left, or no time; not before the curve has a row."""
        position = self.state.position
        if self.timer.limit is None:
            return position.round >= self.settings.train.rounds
        self._read_time()
        return self._over and bool(position.history)

    def _read_time(self) -> None:
        """Note the first rank's time: clocks differ, and learning rate and end must not."""
        if self.timer.limit is not None:
            self.spent = self.ranks.from_first(self.timer.spent, self.device)

    @property
    def _over(self) -> bool:
        """Whether the time was up when it was read."""
        return self.timer.limit is not None and self.spent >= self.timer.limit

    def _round(self) -> None:
        position, settings = self.state.position, self.settings
        round_ = position.round
        self.progress.round_started()
        batch = self.batches.get(round_).to(self.device)
        self.prepare(batch, round_)
        self._read_time()
        self.last_losses = []
        self.throughput.start()
        for step, members in enumerate(step_members(settings, len(batch), round_)):
            if step < position.step:
                continue
            self._step(batch, members, step)
            if self._over:
                self.save()
                return
            if time.monotonic() - self.saved > self._checkpoint_seconds():
                self.save()
        if self.last_losses:
            number = (round_ + 1) * settings.train.steps_per_round
            self.logger.round_done(number, self.state.average.module)
        again = first_round(settings, round_ + 1) == first_round(settings, round_)
        self.state.position = position.next_round(same_images=again)
        self.save()
        if self.last_losses:  # After the state is saved: a killed round is not reported twice.
            self.progress.round_done(round_, self.last_losses, self.last_usage)

    def _step(self, batch: Batch, members: np.ndarray, step: int) -> None:
        position, settings = self.state.position, self.settings
        number = position.round * settings.train.steps_per_round + step + 1
        self._set_learning_rate(number)
        losses = self._means(self.step(batch, members[self.ranks.shard(len(members))], number))
        # Noted on the device: reading every loss would wait for every step.
        bad = (self.first_bad == 0) & ~losses.isfinite().all()
        self.first_bad = torch.where(bad, number, self.first_bad)
        self.state.optimizer.step()
        self.state.average.update(self.state.network, number)
        position.step = step + 1
        self.throughput.add(len(members))
        self._read_time()
        last = position.step == settings.train.steps_per_round or self._over
        if last or number % LOG_EVERY == 0:
            self._log(number, losses)

    def _checkpoint_seconds(self) -> float:
        """Seconds between states: as set, but so many that a large state takes a small share."""
        least = self.settings.train.checkpoint_seconds
        return max(least, self.save_seconds / CHECKPOINT_SHARE)

    def _set_learning_rate(self, number: int) -> None:
        train = self.settings.train
        done = (number - 1) / (train.rounds * train.steps_per_round)
        if self.timer.limit is not None:
            done = self.spent / self.timer.limit
        factor = learning_rate_factor(train, number, done)
        for group in self.state.optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor

    def _check_finite(self) -> None:
        """`UserError` where a loss was not finite since the last state was saved."""
        if number := int(self.first_bad):
            raise self._diverged("the loss", number)

    def _check_weights(self) -> None:
        """`UserError` where the last step made a weight infinite or no number.

        A finite loss may have such a gradient, and of a run's last step no loss would show it.
        """
        weights = self.state.network.parameters()
        if torch.stack([weight.isfinite().all().logical_not() for weight in weights]).any():
            position, steps = self.state.position, self.settings.train.steps_per_round
            raise self._diverged("a weight", position.round * steps + position.step)

    def _diverged(self, what: str, number: int) -> UserError:
        """The error of a run of which `what` is not finite since step `number`."""
        round_, step = divmod(number - 1, self.settings.train.steps_per_round)
        kept = f"; the last good state is kept in {self.state_file}" if self.kept else ""
        return UserError(
            f"task {self.settings.task}: {what} became infinite or no number in round "
            f"{round_ + 1}, step {step + 1}: lower `train.learning_rate`{kept}"
        )

    def _means(self, losses: Tensor) -> Tensor:
        """Over all of a step's images; a process alone has seen all."""
        return losses if self.ranks.count == 1 else self.ranks.mean(losses)

    def _log(self, number: int, losses: Tensor) -> None:
        self._check_finite()
        position, values = self.state.position, losses.tolist()
        row = [float(number), float(position.round + 1), sum(values), *values]
        position.history.append([*row, *self.more_columns()])
        self.last_losses, self.last_usage = values, self.throughput.read()
        self.progress.stepped(position.round, position.step, values, self.last_usage)
        named = dict(zip(self.columns(), position.history[-1], strict=True))
        self.logger.curve(number, {**named, **self.last_usage})
