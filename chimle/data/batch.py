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
