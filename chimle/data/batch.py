"""Batches: pairs in their pose as the pyramids that a tower is conditioned on and trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chimle.data.dataset import Pair, image_key
from chimle.images.colour import lightness
from chimle.images.jpeg import JpegCode, JpegIntervals, intervals_of, unknown_tables
from chimle.images.jpeg_agreement import deblocked
from chimle.images.pyramid import reduce, to_tensor, to_uint8
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


def starting_images(
    tower: TowerSettings, inputs: Sequence[np.ndarray], jpeg: JpegIntervals | None
) -> Tensor:
    """Images (B, 3, h, w) in [0, 1] that a tower starts from: B inputs (h, w, 3) uint8.

    Where their samples are to agree with known JPEG files, these are the inputs without the borders
    of their blocks.
    """
    images = to_tensor(inputs)
    if jpeg is None or tower.agreement == "none":
        return images
    return deblocked(images, jpeg)


def conditioning(task: Task, tower: TowerSettings, images: Tensor) -> tuple[Tensor, ...]:
    """Conditioning of a tower for `starting_images` of one size.

    In training that is the tower's input size. A tower also takes any other size: for
    super-resolution any at all, for other tasks sides divisible by 2^(levels - 1).

    Args:
        task: names the wiring.
        tower: its levels.
        images: (B, 3, h, w) in [0, 1].

    Returns:
        Per level (B, 3, h, w) RGB or (B, 1, h, w) lightness in [0, 1]; super-resolution: the input.
    """
    if task.wiring is Wiring.SUPER_RESOLUTION:
        return (images,)
    height, width = images.shape[-2:]
    rounded = to_uint8(images)
    levels = [
        to_tensor([reduce(image, (height >> shift, width >> shift)) for image in rounded])
        for shift in range(tower.levels - 1, 0, -1)
    ]
    levels.append(images)
    if task.wiring is Wiring.COLOURIZATION:
        return tuple(map(lightness, levels))
    return tuple(levels)


def pair_conditioning(
    task: Task, tower: TowerSettings, pairs: Sequence[Pair]
) -> tuple[tuple[Tensor, ...], JpegIntervals | None]:
    """`conditioning` of a tower for the inputs of pairs, and `batch_intervals` of the pairs."""
    jpeg = batch_intervals(pairs)
    images = starting_images(tower, [pair.input for pair in pairs], jpeg)
    return conditioning(task, tower, images), jpeg


def make_batch(task: Task, tower: TowerSettings, pairs: Sequence[Pair]) -> Batch:
    """The pyramids of pairs whose targets have the tower's resolution."""
    targets = tuple(
        to_tensor([reduce(pair.target, (size, size)) for pair in pairs])
        for size in tower.output_sizes()
    )
    keys = tuple(image_key(pair.id) for pair in pairs)
    levels, jpeg = pair_conditioning(task, tower, pairs)
    return Batch(keys, levels, targets, jpeg)
