"""Agreement with the input: the nearest image that the known degradation maps to the input.

Applied inside the tower after a level, in training, search and sampling alike, so that the network
only has to invent what the input does not determine. One differentiable function per degradation:

- super-resolution: `agree_with_reduction`, the affine projection of range and null space. Known as
  the consistency enforcing module of Explorable Super Resolution (Bahat and Michaeli, CVPR 2020)
  and as the range-null space decomposition of DDNM (Wang, Yu and Zhang, ICLR 2023).
- colourization: `agree_with_lightness`, the input's lightness with chroma inside the sRGB gamut.
- decompression: `chimle.images.jpeg_agreement`, DCT coefficients clamped to their quantisation
  intervals, after What's in the Image? (Bahat and Michaeli, CVPR 2021).

Everything is computed in fp32, whatever autocast says.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from chimle.device import cached_constants, without_autocast
from chimle.images.clamp import ClampTowards
from chimle.images.colour import CHROMA_RANGE, DARKEST, DARKEST_GRADIENT, chroma_share, lab_to_rgb

BICUBIC_A = -0.5
"""Parameter of Pillow's bicubic kernel, which reaches two pixels of the smaller image."""
ALTERNATIONS = 2
"""Turns of projecting and clamping."""
BISECTIONS = 18
"""Halvings of the interval that the gamut's border is searched in."""


def _bicubic(distance: Tensor) -> Tensor:
    """Pillow's bicubic kernel at distances of up to two pixels."""
    x, a = distance.abs(), BICUBIC_A
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def reduction_matrix(size: int, reduced: int) -> Tensor:
    """(reduced, size) float64: Pillow's antialiased bicubic reduction of one axis."""
    scale = size / reduced
    centres = (torch.arange(reduced, dtype=torch.float64) + 0.5) * scale
    pixels = torch.arange(size, dtype=torch.float64) + 0.5
    weights = _bicubic((pixels[None] - centres[:, None]) / scale)
    return weights / weights.sum(dim=1, keepdim=True)


class _Reduction(NamedTuple):
    """D and its pseudo-inverse D+ = D^T (D D^T)^-1 for one axis, float32."""

    down: Tensor
    up: Tensor


@cached_constants
def _reduction(size: int, reduced: int, device: torch.device) -> _Reduction:
    down = reduction_matrix(size, reduced)
    up = torch.linalg.solve(down @ down.T, down).T
    return _Reduction(
        *(matrix.to(device=device, dtype=torch.float32).contiguous() for matrix in (down, up))
    )


def agree_with_reduction(images: Tensor, inputs: Tensor) -> Tensor:
    """The nearest images that Pillow's bicubic filter reduces to the inputs.

    With D the reduction of an axis and D+ its pseudo-inverse: x + D+ (input - D x D^T) D+^T.

    Args:
        images: (B*K, 3, H, W), the K candidates of an input contiguous.
        inputs: (B, 3, h, w).

    Returns:
        (B*K, 3, H, W) fp32; values may leave [0, 1], as the inputs demand.
    """
    with without_autocast(images.device):
        rows = _reduction(images.shape[-2], inputs.shape[-2], images.device)
        columns = _reduction(images.shape[-1], inputs.shape[-1], images.device)
        exact = images.float().unflatten(0, (inputs.shape[0], -1))
        missing = inputs.float().unsqueeze(1) - rows.down @ exact @ columns.down.T
        agreed: Tensor = exact + rows.up @ missing @ columns.up.T
        return agreed.flatten(0, 1)


def reduced_agreement(raw: Tensor, inputs: Tensor) -> Tensor:
    """Images in [0, 1] of raw outputs (B*K, 3, H, W) in [-1, 1] that agree with (B, 3, h, w)."""
    return agreeing(lambda images: agree_with_reduction(images, inputs), (raw + 1) / 2)


def agree_with_lightness(light: Tensor, chroma: Tensor) -> Tensor:
    """Images of the input's lightness: chroma shrinks along its hue until sRGB can show it.

    The gradient takes the share that remains for a constant, so that chroma outside the gamut still
    learns.

    Args:
        light: (B, 1, H, W) lightness L / 100 in [0, 1].
        chroma: (B, 2, H, W) raw output in [-1, 1], premultiplied by lightness
            (`chimle.images.colour.chroma_to_rgb`).

    Returns:
        (B, 3, H, W) sRGB in [0, 1], fp32.
    """
    exact, raw = light.float(), chroma.float()
    gentle = raw / exact.clamp_min(DARKEST_GRADIENT)
    ab = CHROMA_RANGE * (gentle + (raw / exact.clamp_min(DARKEST) - gentle).detach())
    share = chroma_share(100 * exact, ab.detach(), BISECTIONS)
    return lab_to_rgb(torch.cat((100 * exact, share * ab), dim=1))


def agreeing(project: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Images in [0, 1] that a projection onto what agrees with the input leaves (almost) as is.

    Projection and clamp take turns twice: what a clamp undoes, the second projection spreads over
    other pixels.

    Args:
        project: of images of that shape.
        images: (B, 3, H, W).
    """
    for _ in range(ALTERNATIONS):
        images = ClampTowards.apply(project(images), 0.0, 1.0)  # type: ignore[no-untyped-call]
    return images
