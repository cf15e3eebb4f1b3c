"""Losses: the distance to the target at every level or at the finest (paper, equation 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from chimle.perceptual.lpips import Distance, Features
from chimle.settings.model_settings import ModelSettings


def supervised_levels(settings: ModelSettings) -> range:
    """Levels, from 0, whose images are compared with the target in a step."""
    levels = settings.tower.levels
    return range(levels) if settings.train.supervision == "every" else range(levels - 1, levels)


def shifted(images: Tensor, shift: Tensor) -> Tensor:
    """Images moved down and right, reflected at the upper and left border.

    Args:
        images: (B, C, H, W).
        shift: (2,) int64 rows and columns on the images' device; at most one less than a side
            counts.
    """
    height, width = images.shape[-2:]
    rows, columns = (
        (torch.arange(side, device=shift.device) - by.clamp(max=side - 1)).abs()
        for side, by in zip((height, width), shift, strict=True)
    )
    return images.index_select(-2, rows).index_select(-1, columns)


def level_losses(
    images: Sequence[Tensor],
    perceptual: Distance,
    targets: Sequence[Features],
    levels: Sequence[int],
    weights: Sequence[float] | None = None,
) -> Tensor:
    """(len(levels),) mean distance of those levels' images to their targets.

    Args:
        images: per level (B, 3, H, W) in [0, 1].
        perceptual: the distance.
        targets: per level the features of B targets.
        levels: which to compare, from 0.
        weights: factor per compared level; None: 1 each.
    """
    factors = weights or (1.0,) * len(levels)
    return torch.stack(
        [
            factor * perceptual.distance(images[level], targets[level]).mean()
            for level, factor in zip(levels, factors, strict=True)
        ]
    )
