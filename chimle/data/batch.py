"""Batches: pairs in their pose as the pyramids that a tower is conditioned on and trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chimle.data.dataset import Pair, image_key
from chimle.images.colour import lightness
from chimle.images.jpeg import JpegCode, JpegIntervals, intervals_of, unknown_tables
from chimle.images.pyramid import reduce, to_tensor
from chimle.settings.tower import TowerSettings
from chimle.tasks import Task, Wiring


@dataclass(frozen=True)
class Batch:
    """B images with their pyramids, coarse first.

    Attributes:
        keys: B image keys, which determine the images' codes.
        conditioning: per level (B, C, h, w) in [0, 1]; super-resolution has one, the input.
        targets: per level (B, 3, h, w) in [0, 1].
        jpeg: the inputs' quantisation, where they are decoded JPEG images and it is known.
    """

    keys: tuple[int, ...]
    conditioning: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    jpeg: JpegIntervals | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: Sequence[int] | np.ndarray) -> "Batch":
        """Those rows, in that order. They are numbers of the host, so no device is waited for."""
        host = np.asarray(rows, dtype=np.int64)
        index = torch.from_numpy(host).to(self.targets[0].device)
        return Batch(
            tuple(self.keys[row] for row in host),
            tuple(tensor[index] for tensor in self.conditioning),
            tuple(tensor[index] for tensor in self.targets),
            None if self.jpeg is None else self.jpeg.rows(index),
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        jpeg = self.jpeg
        return Batch(
            self.keys,
            tuple(tensor.to(device) for tensor in self.conditioning),
            tuple(tensor.to(device) for tensor in self.targets),
            None if jpeg is None else jpeg.to(device),
        )


def batch_intervals(pairs: Sequence[Pair]) -> JpegIntervals | None:
    """The quantisation of the pairs' inputs; None where no input's is known."""
    if all(pair.jpeg is None for pair in pairs):
        return None
    return intervals_of([pair.jpeg or JpegCode(unknown_tables()) for pair in pairs])


def conditioning(
    task: Task, tower: TowerSettings, inputs: Sequence[np.ndarray]
) -> tuple[Tensor, ...]:
    """Conditioning of a tower for B inputs (h, w, 3) uint8 of one size.

    In training that is the tower's input size. A tower also takes any other size: for
    super-resolution any at all, for other tasks sides divisible by 2^(levels - 1).

    Returns:
        Per level (B, 3, h, w) RGB or (B, 1, h, w) lightness in [0, 1]; super-resolution: the input.
    """
    if task.wiring is Wiring.SUPER_RESOLUTION:
        return (to_tensor(inputs),)
    height, width = inputs[0].shape[:2]
    shifts = range(tower.levels - 1, -1, -1)
    levels = [
        to_tensor([reduce(image, (height >> shift, width >> shift)) for image in inputs])
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
    levels = conditioning(task, tower, [pair.input for pair in pairs])
    return Batch(keys, levels, targets, batch_intervals(pairs))
