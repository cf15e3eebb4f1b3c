"""Power spectrum equalisation: a fixed filter that gives samples the power spectrum of targets.

A perceptual distance leaves some spatial frequencies stronger than targets have them and others
weaker: strokes along one diagonal, soft texture. Filtering each frequency by the root of the ratio
of the two mean powers (Stockham, Cannon and Ingebretsen, Blind Deconvolution Through Digital
Signal Processing, 1975) undoes that at no cost in training. The filter is symmetric, so it moves
no edge, and it is applied to the finest level's output before agreement with the input, which
therefore stays exact. `chimle.training.equalisation` fits it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.device import without_autocast


def equaliser_side(resolution: int) -> int:
    """Side of the filter of a tower whose finest images have that side, pixels: odd."""
    return resolution // 4 * 2 - 1


def no_equaliser(resolution: int) -> Tensor:
    """The filter (s, s), fp32, that leaves images as they are."""
    side = equaliser_side(resolution)
    kernel = torch.zeros(side, side)
    kernel[side // 2, side // 2] = 1
    return kernel


def bordered(images: Tensor, reach: int, top: int, bottom: int) -> Tensor:
    """Rows `top - reach` to `bottom + reach` of (N, C, H, W), and as many columns on either side.

    What lies outside the image repeats its border.
    """
    height = images.shape[-2]
    above, below = max(0, top - reach), min(height, bottom + reach)
    rows = (above - (top - reach), bottom + reach - below)
    inside = images[..., above:below, :].float()
    return F.pad(inside, (reach, reach, *rows), mode="replicate")


def equalised(images: Tensor, kernel: Tensor, rows: tuple[int, int] | None = None) -> Tensor:
    """Images filtered channel by channel, by multiplication of their Fourier transforms.

    Args:
        images: (N, C, H, W).
        kernel: (s, s), symmetric about its centre.
        rows: first and last row of what is returned, exclusive; None: all.

    Returns:
        (N, C, H, W) fp32, or those rows of it.
    """
    top, bottom = rows or (0, images.shape[-2])
    with without_autocast(images.device):
        reach = kernel.shape[-1] // 2
        parts = bordered(images, reach, top, bottom)
        if torch.compiler.is_exporting():
            # ONNX Runtime's Fourier transforms are some thirty times less exact.
            channels = parts.shape[1]
            return F.conv2d(parts, kernel.float().expand(channels, 1, -1, -1), groups=channels)
        size = parts.shape[-2:]
        # Of a circular convolution the last rows and columns saw no border of the other side.
        spectrum = torch.fft.rfft2(parts) * torch.fft.rfft2(kernel.float(), s=size)
        filtered: Tensor = torch.fft.irfft2(spectrum, s=size)
        return filtered[..., 2 * reach :, 2 * reach :]
