"""What a gradient step makes small: the distance to the target, at every level or the finest."""

from collections.abc import Sequence

import torch
from torch import Tensor

from chimle.perceptual.lpips import Distance, Features
from chimle.settings import RunSettings


def supervised_levels(settings: RunSettings) -> range:
    """Levels, from 0, whose pictures are compared with the target in a step."""
    levels = settings.tower.levels
    return range(levels) if settings.train.supervision == "every" else range(levels - 1, levels)


def level_losses(
    images: Sequence[Tensor],
    perceptual: Distance,
    targets: Sequence[Features],
    levels: Sequence[int],
) -> Tensor:
    """(len(levels),) mean distance of those levels' pictures to their targets (paper, eq. 5)."""
    return torch.stack(
        [perceptual.distance(images[level], targets[level]).mean() for level in levels]
    )
