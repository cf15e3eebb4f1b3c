"""Samples: one forward pass each, named by (seed, image, number)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from chimle.codes import draw
from chimle.images.pyramid import to_uint8
from chimle.tower.generator import Tower, select_state


@torch.no_grad()
def sample(
    tower: Tower,
    conditioning: Sequence[Tensor],
    keys: Sequence[int],
    count: int,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> np.ndarray:
    """Draw `count` pictures for each of N conditioning images.

    Args:
        tower: the generator.
        conditioning: per level (N, C, h, w) in [0, 1].
        keys: N image keys; with the seed and a sample's number they name its codes.
        count: samples per image.
        seed: seed of the samples.
        batch_size: pictures made at once.

    Returns:
        (N, count, H, W, 3) uint8.
    """
    shapes = tower.code_shapes()
    pictures = []
    with parametrize.cached():
        whole = tower.begin(conditioning)
        for row, key in enumerate(keys):
            prefix = select_state(whole, torch.tensor([row], device=conditioning[0].device))
            for start in range(0, count, batch_size):
                numbers = torch.arange(
                    start, min(start + batch_size, count), device=conditioning[0].device
                ).unsqueeze(0)
                state = prefix
                for level, shape in enumerate(shapes):
                    code = draw(shape, [key], numbers, level=level, seed=seed, purpose="sample")
                    image, state = tower.step(level, state, code)
                pictures.append(to_uint8(image))
    flat = np.concatenate(pictures)
    return flat.reshape(len(keys), count, *flat.shape[1:])
