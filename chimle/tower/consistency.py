"""Agreement with the input: the nearest image that the known degradation maps to the input.

Applied inside the tower after a level, in training, search and sampling alike, so that the network
only has to invent what the input does not determine. One differentiable function per degradation:

- super-resolution: `agree_with_reduction`, the affine projection of range and null space. Known as
  the consistency enforcing module of Explorable Super Resolution (Bahat and Michaeli, CVPR 2020)
  and as the range-null space decomposition of DDNM (Wang, Yu and Zhang, ICLR 2023).
- colourization: `agree_with_lightness`, the input's lightness with chroma inside the sRGB gamut.
- decompression: `agree_with_jpeg`, DCT coefficients clamped to their quantisation intervals, after
  What's in the Image? (Bahat and Michaeli, CVPR 2021).

Everything is computed in fp32, whatever autocast says.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.device import without_autocast
from chimle.images.colour import CHROMA_RANGE, DARKEST, DARKEST_GRADIENT, chroma_share, lab_to_rgb
from chimle.images.jpeg import JpegIntervals

BICUBIC_A = -0.5
"""Parameter of Pillow's bicubic kernel, which reaches two pixels of the smaller image."""
ALTERNATIONS = 2
"""Turns of projecting and clamping."""
BISECTIONS = 18
"""Halvings of the interval that the gamut's border is searched in."""
INTERVAL_MARGIN = 4.0
"""Distance in [0, 255] that a coefficient keeps from its interval's ends, at most a quarter of the
quantisation step: rounding to 8 bits moves a flat block's mean by up to 0.5, and its coefficient by
eight times as much."""
JPEG_OFFSET = 128.0
"""Level shift before the DCT."""
_RGB_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


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


@lru_cache(maxsize=64)
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


class ClampTowards(torch.autograd.Function):
    """Clamp to [low, high]; outside, only a gradient that leads back inside passes.

    A plain clamp stops every gradient outside its interval, and the identity's gradient would drive
    values ever farther out.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        """Values clamped."""
        ctx.save_for_backward(values > high, values < low)
        return values.clamp(low, high)  # type: ignore[arg-type]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, but where a descent step would lead farther out."""
        (gradient,) = gradients
        above, below = ctx.saved_tensors
        outward = (above & (gradient < 0)) | (below & (gradient > 0))
        return gradient.masked_fill(outward, 0.0), None, None


def agreeing(project: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Images in [0, 1] that a projection onto what agrees with the input leaves (almost) as is.

    Projection and clamp take turns twice: what a clamp undoes, the second projection spreads over
    other pixels.
    """
    for _ in range(ALTERNATIONS):
        images = ClampTowards.apply(project(images), 0.0, 1.0)  # type: ignore[no-untyped-call]
    return images


@lru_cache(maxsize=8)
def _dct(device: torch.device) -> Tensor:
    """(8, 8) orthonormal DCT-II, row = frequency."""
    n = torch.arange(8, dtype=torch.float64)
    matrix = torch.cos(math.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2
    matrix[0] *= 0.5**0.5
    return matrix.to(device=device, dtype=torch.float32)


@lru_cache(maxsize=8)
def _ycc(device: torch.device) -> tuple[Tensor, Tensor]:
    """RGB to luminance and chrominance, and back."""
    matrix = torch.tensor(_RGB_TO_YCC, dtype=torch.float64)
    inverse = torch.linalg.inv(matrix)
    return tuple(m.to(device=device, dtype=torch.float32) for m in (matrix, inverse))  # type: ignore[return-value]


def _coefficients(plane: Tensor) -> Tensor:
    """(..., H, W) to the DCT coefficients (..., H/8, W/8, 8, 8) of its blocks."""
    dct = _dct(plane.device)
    blocks = plane.unflatten(-2, (-1, 8)).unflatten(-1, (-1, 8)).transpose(-3, -2)
    coefficients: Tensor = dct @ blocks @ dct.T
    return coefficients


def _plane(coefficients: Tensor) -> Tensor:
    """The inverse of `_coefficients`."""
    dct = _dct(coefficients.device)
    blocks = dct.T @ coefficients @ dct
    return blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2)


def _planes(images: Tensor, subsampling: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(..., 3, H, W) in [0, 1] to luminance (..., 1, H, W) and chrominance (..., 2, h, w)."""
    ycc = torch.einsum("oc,...chw->...ohw", _ycc(images.device)[0], 255 * images)
    luminance, chrominance = ycc.split((1, 2), dim=-3)
    shape = chrominance.shape
    small = F.avg_pool2d(chrominance.flatten(0, -4), subsampling)
    return luminance - JPEG_OFFSET, small.unflatten(0, shape[:-3])


def _moved_into_interval(own: Tensor, given: Tensor, steps: Tensor) -> Tensor:
    """The change of planes that moves every coefficient into the interval of the input's.

    Args:
        own: (B, K, C, H, W) planes of images.
        given: (B, 1, C, H, W) planes of inputs.
        steps: (B, 8, 8) quantisation steps.
    """
    wide = steps[:, None, None, None, None]
    half = wide / 2 - torch.minimum(wide / 4, torch.full_like(wide, INTERVAL_MARGIN))
    centre = torch.round(_coefficients(given) / wide) * wide
    found = _coefficients(own)
    clamped = ClampTowards.apply(found, centre - half, centre + half)  # type: ignore[no-untyped-call]
    return _plane(clamped - found)


_TURNS = {
    1: (False, ()),
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}
"""EXIF orientations: whether the stored image is transposed, then the axes that are flipped."""


def as_stored(images: Tensor, orientation: int) -> Tensor:
    """Upright images (..., H, W) as a file with that EXIF orientation stores them."""
    transposed, flipped = _TURNS[orientation]
    stored = images.flip(flipped) if flipped else images
    return stored.transpose(-2, -1) if transposed else stored


def upright(images: Tensor, orientation: int) -> Tensor:
    """The inverse of `as_stored`."""
    transposed, flipped = _TURNS[orientation]
    turned = images.transpose(-2, -1) if transposed else images
    return turned.flip(flipped) if flipped else turned


def agree_with_jpeg(images: Tensor, inputs: Tensor, jpeg: JpegIntervals) -> Tensor:
    """The nearest images whose DCT coefficients lie in the intervals that the inputs' JPEG allows.

    Luminance and the subsampled chrominance are split into blocks of 8x8; a coefficient of the
    input lies near a multiple of its quantisation step, and everything that rounds to that multiple
    agrees. Nearest is meant in luminance and chrominance.

    Args:
        images: (B*K, 3, H, W) in [0, 1], the K candidates of an input contiguous.
        inputs: (B, 3, H, W) in [0, 1], decoded JPEG images whose blocks start at the top left of
            the stored image.
        jpeg: quantisation of the B inputs.

    Returns:
        (B*K, 3, H, W) fp32; values may leave [0, 1] by a little.
    """
    by = jpeg.subsampling
    with without_autocast(images.device):
        own, given = (as_stored(i.float(), jpeg.orientation) for i in (images, inputs))
        height, width = own.shape[-2:]
        down, right = (-side % (8 * f) for side, f in zip((height, width), by, strict=True))
        own, given = (F.pad(i, (0, right, 0, down), "replicate") for i in (own, given))
        grouped = own.unflatten(0, (inputs.shape[0], -1))
        luminance, chrominance = _planes(grouped, by)
        given_luminance, given_chrominance = _planes(given.unsqueeze(1), by)
        steps = jpeg.tables.float()
        fine = _moved_into_interval(luminance, given_luminance, steps[:, 0])
        coarse = _moved_into_interval(chrominance, given_chrominance, steps[:, 1])
        spread = coarse.repeat_interleave(by[0], -2).repeat_interleave(by[1], -1)
        change = torch.cat((fine, spread), dim=-3)
        rgb = torch.einsum("oc,...chw->...ohw", _ycc(images.device)[1], change) / 255
        agreed = (grouped + rgb).flatten(0, 1)[..., :height, :width]
        return upright(agreed, jpeg.orientation)
