"""Losses: the distance to the target at every level or at the finest (paper, equation 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from chimle.perceptual.distance import Distance, Features
from chimle.settings.model_settings import ModelSettings


def supervised_levels(settings: ModelSettings) -> range:
    """Levels, from 0, whose images are compared with the target in a step."""
    levels = settings.tower.levels
    return range(levels) if settings.train.supervision == "every" else range(levels - 1, levels)


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
