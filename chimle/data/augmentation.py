"""A pair in its pose of a round: the same crop, flips and turns for input and target.

Poses are named by (seed, round, image): they differ between rounds and images, and are the same
again whatever the order, the process or the machine.
"""

import os
import random
from functools import cache
from typing import Any

import numpy as np

from chimle.data.dataset import Pair, image_key
from chimle.tasks import Task

_PURPOSE = 2
"""Keeps these random numbers apart from those that choose and order a round's images."""


def _window(pair: Pair, task: Task, resolution: int, top: int, left: int) -> Pair:
    """An aligned crop; `top` and `left` count input pixels, so input and target never drift."""
    factor = task.reduction
    small = resolution // factor
    return Pair(
        pair.id,
        pair.input[top : top + small, left : left + small],
        pair.target[
            top * factor : top * factor + resolution, left * factor : left * factor + resolution
        ],
    )


def centre(pair: Pair, task: Task, resolution: int) -> Pair:
    """The central crop of a pair to the tower's resolution."""
    height, width = pair.input.shape[:2]
    small = resolution // task.reduction
    return _window(pair, task, resolution, (height - small) // 2, (width - small) // 2)


@cache
def _turns() -> Any:
    """Flips, transposition and quarter turns, done to an image and an `input` of any other size."""
    # Unless told not to, it asks the package index for a newer version of itself on import.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    return albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.VerticalFlip(p=0.5),
            albumentations.Transpose(p=0.5),
            albumentations.RandomRotate90(p=1.0),
        ],
        additional_targets={"input": "image"},
        is_check_shapes=False,
    )


def augment(pair: Pair, task: Task, resolution: int, *, seed: int, round: int, turn: bool) -> Pair:
    """A pair in its pose of a round.

    Args:
        pair: at least as large as the tower's resolution.
        task: tells how much smaller the input is.
        resolution: side of the target that comes out; the input's is `task.reduction` times less.
        seed: of the run.
        round: number of the round.
        turn: flips, transposition and quarter turns as well as the random crop.
    """
    generator = np.random.default_rng((seed, _PURPOSE, round, image_key(pair.id)))
    height, width = pair.input.shape[:2]
    small = resolution // task.reduction
    top = int(generator.integers(0, height - small + 1))
    left = int(generator.integers(0, width - small + 1))
    cropped = _window(pair, task, resolution, top, left)
    if turn:
        turns = _turns()
        # One state for all steps: its `set_random_seed` would give every step the same numbers, and
        # so flip in both directions or in none.
        turns.set_random_state(generator, random.Random(int(generator.integers(0, 2**63))))
        turned = turns(image=cropped.target, input=cropped.input)
        cropped = Pair(pair.id, turned["input"], turned["image"])
    return Pair(pair.id, np.ascontiguousarray(cropped.input), np.ascontiguousarray(cropped.target))
