"""One image at several sizes, and the way between 8-bit images and tensors.

Reduction is Pillow's bicubic filter (antialiased) on 8-bit images, as published. Torch is
imported only where tensors are made: most processes that make pairs never need it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor


def resize(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to `size` = (height, width) by Pillow's antialiased bicubic filter."""
    height, width = size
    if rgb.shape[:2] == (height, width):
        return rgb
    image = Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def reduce(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 reduced to (height, width); `ValueError` if that would enlarge."""
    if size[0] > rgb.shape[0] or size[1] > rgb.shape[1]:
        raise ValueError(f"cannot reduce {rgb.shape[:2]} to {size}")
    return resize(rgb, size)


def enlarge(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 enlarged to (height, width), bicubic."""
    return resize(rgb, size)


def to_tensor(images: Sequence[np.ndarray]) -> "Tensor":
    """B images (H, W, 3) uint8 to (B, 3, H, W) float32 in [0, 1]."""
    import torch

    stacked = torch.from_numpy(np.stack(images))
    return stacked.permute(0, 3, 1, 2).to(torch.float32).div_(255).contiguous()


def to_uint8(images: "Tensor") -> np.ndarray:
    """(B, 3, H, W) in [0, 1], clamped and rounded, to (B, H, W, 3) uint8."""
    import torch

    levels = images.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
