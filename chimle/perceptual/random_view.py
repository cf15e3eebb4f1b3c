"""Random views: one shift and orientation for images and targets, before they are compared.

A backbone sees one phase of its stride, and its filters favour textures of some directions: towers
trained on LPIPS alone draw ridges at the frequencies that it does not see, and strokes along one
diagonal, the same for every seed. Over random views no phase is favoured, and no direction more
than its mirror image (after E-LPIPS: Kettunen, Harkonen and Lehtinen, arXiv 1906.03973).
"""

import numpy as np
import torch
from torch import Tensor

from chimle.data.augmentation import ORIENTATIONS
from chimle.images.resample import resampled
from chimle.settings.perceptual import PerceptualSettings

PURPOSE = 3
"""Keeps these random numbers apart from those of images, orders and orientations of pairs."""


def draw_view(settings: PerceptualSettings, seed: int, number: int) -> Tensor:
    """(3,) int64: rows and columns of a step's shift, and its orientation from 0 to 7.

    Args:
        settings: which views there are.
        seed: of the run.
        number: of the step.
    """
    generator = np.random.default_rng((seed, PURPOSE, number))
    shift = generator.integers(0, settings.shift + 1, 2)
    orientation = generator.integers(ORIENTATIONS) if settings.turn else 0
    return torch.tensor([*shift, orientation])


def viewed(images: Tensor, view: Tensor) -> Tensor:
    """Images transposed, moved down and right, reflected at that border, then flipped; fp32.

    Args:
        images: (..., S, S).
        view: (3,) int64 on the images' device: rows and columns, of which at most one less than a
            side counts, and the orientation, numbered as `chimle.data.augmentation.oriented` does.
    """
    orientation = view[2]
    images = torch.where(orientation & 1 > 0, images.mT, images)

    def moves(side: int, by: Tensor, flip: Tensor) -> Tensor:
        pixels = torch.arange(side, device=by.device)
        sources = (torch.where(flip, side - 1 - pixels, pixels) - by.clamp(max=side - 1)).abs()
        return (sources[:, None] == pixels[None]).float()

    height, width = images.shape[-2:]
    rows = moves(height, view[0], orientation & 2 > 0)
    columns = moves(width, view[1], orientation & 4 > 0)
    return resampled(images, rows, columns)
