"""Resampling of images as matrix products per axis.

Interpolation and indexing by other means have backward passes on CUDA that add in no fixed order,
or need several launches where they do. A product of matrices is one launch and gives the same bits
each time. Everything is computed in fp32, whatever autocast says.
"""

import torch
from torch import Tensor

from chimle.device import cached_constants, without_autocast


@cached_constants
def _bilinear(size: int, factor: int, device: torch.device) -> Tensor:
    """(factor * size, size): bilinear enlargement of one axis, pixel centres at halves."""
    places = (torch.arange(factor * size, dtype=torch.float64, device="cpu") + 0.5) / factor - 0.5
    places = places.clamp(0, size - 1)
    pixels = torch.arange(size, dtype=torch.float64, device="cpu")
    weights = (1 - (places[:, None] - pixels[None]).abs()).clamp_min(0)
    return weights.to(device=device, dtype=torch.float32)


def resampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(..., H, W) as rows @ image @ columns.T, fp32: (H', H) and (W', W) to (..., H', W')."""
    with without_autocast(images.device):
        return rows @ images.float().contiguous() @ columns.T


def enlarged(images: Tensor, factor: int) -> Tensor:
    """(..., H, W) enlarged bilinearly by a whole factor, edges repeated, fp32."""
    height, width = images.shape[-2:]
    rows, columns = (_bilinear(side, factor, images.device) for side in (height, width))
    return resampled(images, rows, columns)
