"""Pairs in their pose become the pyramids that a tower sees and is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chimle.data.dataset import Pair, image_key
from chimle.images.colour import lightness
from chimle.images.pyramid import reduce, to_tensor
from chimle.settings import TowerSettings
from chimle.tasks import Task, Wiring


@dataclass(frozen=True)
class Batch:
    """B images with their pyramids, coarse first.

    Attributes:
        keys: B image keys, which name the images' codes.
        conditioning: per level (B, C, h, w) in [0, 1]; super-resolution has one, the input.
        targets: per level (B, 3, h, w) in [0, 1].
    """

    keys: tuple[int, ...]
    conditioning: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: Sequence[int] | Tensor) -> "Batch":
        """Those rows, in that order."""
        index = rows if isinstance(rows, Tensor) else torch.tensor(list(rows), dtype=torch.int64)
        index = index.to(self.targets[0].device)
        return Batch(
            tuple(self.keys[row] for row in index.tolist()),
            tuple(tensor[index] for tensor in self.conditioning),
            tuple(tensor[index] for tensor in self.targets),
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        return Batch(
            self.keys,
            tuple(tensor.to(device) for tensor in self.conditioning),
            tuple(tensor.to(device) for tensor in self.targets),
        )


def conditioning(
    task: Task, tower: TowerSettings, inputs: Sequence[np.ndarray]
) -> tuple[Tensor, ...]:
    """What a tower is conditioned on, for B inputs (h, w, 3) uint8 of one size.

    That size is the tower's input size in training. A tower takes any other, too: for
    super-resolution any at all, for other tasks sides that 2^(levels - 1) divides.

    Returns:
        Per level (B, 3, h, w) RGB or (B, 1, h, w) lightness in [0, 1]; super-resolution: the input.
    """
    if task.wiring is Wiring.SUPER_RESOLUTION:
        return (to_tensor(inputs),)
    height, width = inputs[0].shape[:2]
    shifts = range(tower.levels - 1, -1, -1)
    levels = [
        to_tensor([reduce(picture, (height >> shift, width >> shift)) for picture in inputs])
        for shift in shifts
    ]
    if task.wiring is Wiring.COLOURIZATION:
        return tuple(map(lightness, levels))
    return tuple(levels)


def make_batch(task: Task, tower: TowerSettings, pairs: Sequence[Pair]) -> Batch:
    """The pyramids of pairs whose targets have the tower's resolution."""
    targets = tuple(
        to_tensor([reduce(pair.target, (size, size)) for pair in pairs])
        for size in tower.output_sizes()
    )
    keys = tuple(image_key(pair.id) for pair in pairs)
    return Batch(keys, conditioning(task, tower, [pair.input for pair in pairs]), targets)


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


def augment(pair: Pair, task: Task, resolution: int, *, seed: int, round: int, flips: bool) -> Pair:
    """A pair in its pose of a round: random aligned crop, flips and transposition.

    The pose follows from (seed, round, id) alone and is the same for input and target.
    """
    generator = np.random.default_rng((seed, 2, round, image_key(pair.id)))
    height, width = pair.input.shape[:2]
    small = resolution // task.reduction
    top = int(generator.integers(0, height - small + 1))
    left = int(generator.integers(0, width - small + 1))
    cropped = _window(pair, task, resolution, top, left)
    horizontal, vertical, transpose = generator.integers(0, 2, 3).astype(bool) & flips

    def pose(picture: np.ndarray) -> np.ndarray:
        if horizontal:
            picture = picture[:, ::-1]
        if vertical:
            picture = picture[::-1]
        if transpose:
            picture = picture.swapaxes(0, 1)
        return np.ascontiguousarray(picture)

    return Pair(pair.id, pose(cropped.input), pose(cropped.target))
