"""Batches of a round: which images, in which pose, in which order, named by seed and round."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from chimle.data.augmentation import augment
from chimle.data.batch import Batch, make_batch
from chimle.data.dataset import Pair
from chimle.settings.model_settings import ModelSettings


def _generator(settings: ModelSettings, purpose: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng((settings.seed, purpose, *numbers))


def first_round(settings: ModelSettings, round_: int) -> int:
    """The first of the rounds that train on the same images as `round_`."""
    return round_ - round_ % settings.train.repeat_images


def round_batch(settings: ModelSettings, pairs: Sequence[Pair], round_: int) -> Batch:
    """The images of a round with their pyramids, each in the round's own crop and pose.

    Rounds that repeat images (`train.repeat_images`) have those of the first of them.
    """
    round_ = first_round(settings, round_)
    count = min(settings.train.images_per_round, len(pairs))
    members = _generator(settings, 0, round_).permutation(len(pairs))[:count]
    task, tower = settings.definition, settings.tower
    poses = [
        augment(
            pairs[i],
            task,
            tower.resolution,
            seed=settings.seed,
            round_=round_,
            turn=settings.train.augment,
        )
        for i in sorted(members)
    ]
    return make_batch(task, tower, poses)


class RoundBatches:
    """The batches of a run's rounds, each made while the round before it is trained on.

    Args:
        settings: of the run.
        pairs: of the training split.
        rounds: how many there are; None where time ends the run.
    """

    def __init__(self, settings: ModelSettings, pairs: Sequence[Pair], rounds: int | None) -> None:
        self.settings, self.pairs, self.rounds = settings, pairs, rounds or math.inf
        self._worker = ThreadPoolExecutor(1)
        self._coming: dict[int, Future[Batch]] = {}

    def _order(self, first: int) -> None:
        if first not in self._coming:
            made = self._worker.submit(round_batch, self.settings, self.pairs, first)
            self._coming[first] = made

    def get(self, round_: int) -> Batch:
        """A round's batch; the next one's is begun."""
        first = first_round(self.settings, round_)
        following = first + self.settings.train.repeat_images
        self._order(first)
        again = round_ + 1 < min(following, self.rounds)
        batch = (self._coming[first] if again else self._coming.pop(first)).result()
        if following < self.rounds:
            self._order(following)
        return batch

    def close(self) -> None:
        """Cancel pending batches."""
        self._worker.shutdown(cancel_futures=True)


def step_members(settings: ModelSettings, count: int, round_: int) -> Iterator[np.ndarray]:
    """Rows of the round's batch for every gradient step: whole passes in fresh orders.

    A pass's last rows that fill no batch open the next one, so every image is visited equally.
    """
    size = min(settings.train.batch_size, count)
    pending = np.empty(0, dtype=np.int64)
    for step in range(settings.train.steps_per_round):
        while len(pending) < size:
            number = (step + 1) * size - len(pending)
            fresh = _generator(settings, 1, round_, number).permutation(count)
            pending = np.concatenate([pending, fresh])
        yield pending[:size]
        pending = pending[size:]
