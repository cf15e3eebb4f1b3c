"""Agreement with a JPEG image: DCT coefficients inside the intervals that its tables allow.

After What's in the Image? (Bahat and Michaeli, CVPR 2021) and, for `deblocked`, the projections of
Zakhor (Iterative Procedures for Reduction of Blocking Effects in Transform Image Coding, 1992).
Everything is computed in fp32, whatever autocast says.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.device import cached_constants, without_autocast
from chimle.images.clamp import ClampTowards
from chimle.images.colour import RGB_TO_YCC
from chimle.images.jpeg import UNKNOWN_STEP, JpegIntervals
from chimle.images.resample import enlarged

INTERVAL_MARGIN = 4.0
"""Distance in [0, 255] that a coefficient keeps from its interval's ends, at most a quarter of the
quantisation step: rounding to 8 bits moves a flat block's mean by up to 0.5, and its coefficient by
eight times as much."""
DEBLOCKED_TURNS = 2
"""Turns of clamping a deblocked image and moving it back into its intervals."""
DEBLOCKED_ROWS = 512
"""Rows that are deblocked at once: whole blocks, for the sake of memory."""
JPEG_OFFSET = 128.0
"""Level shift before the DCT."""


@cached_constants
def _dct(device: torch.device) -> Tensor:
    """(8, 8) orthonormal DCT-II, row = frequency."""
    n = torch.arange(8, dtype=torch.float64)
    matrix = torch.cos(math.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2
    matrix[0] *= 0.5**0.5
    return matrix.to(device=device, dtype=torch.float32)


@cached_constants
def _ycc(device: torch.device) -> tuple[Tensor, Tensor]:
    """RGB to luminance and chrominance, and back."""
    matrix = torch.tensor(RGB_TO_YCC, dtype=torch.float64)
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


def _levels(plane: Tensor, steps: Tensor) -> Tensor:
    """(B, 1, C, H/8, W/8, 8, 8): which multiples of their steps the coefficients round to."""
    return torch.round(_coefficients(plane) / steps[:, None, None, None, None])


def _moved_into_interval(own: Tensor, given: Tensor, steps: Tensor) -> Tensor:
    """The change of planes that moves every coefficient into the interval of the input's.

    Args:
        own: (B, K, C, H, W) planes of images.
        given: (B, 1, C, H, W) planes of inputs.
        steps: (B, 8, 8) quantisation steps.
    """
    wide = steps[:, None, None, None, None]
    half = wide / 2 - torch.minimum(wide / 4, torch.full_like(wide, INTERVAL_MARGIN))
    centre = _levels(given, steps) * wide
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


def _whole_blocks(stored: Tensor, subsampling: tuple[int, int]) -> Tensor:
    """Stored images (..., H, W) with edges repeated until luminance and chrominance fill blocks."""
    down, right = (-s % (8 * f) for s, f in zip(stored.shape[-2:], subsampling, strict=True))
    return F.pad(stored, (0, right, 0, down), "replicate")


def _rgb_change(fine: Tensor, coarse: Tensor, subsampling: tuple[int, int]) -> Tensor:
    """The change of images that a change of luminance and of subsampled chrominance is."""
    rows, columns = subsampling
    spread = coarse.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
    change = torch.cat((fine, spread), dim=-3)
    return torch.einsum("oc,...chw->...ohw", _ycc(change.device)[1], change) / 255


def agree_with_jpeg(images: Tensor, inputs: Tensor, jpeg: JpegIntervals) -> Tensor:
    """The nearest images whose DCT coefficients lie in the intervals that the inputs' JPEG allows.

    Luminance and the subsampled chrominance are split into blocks of 8x8; a coefficient of the
    input lies near a multiple of its quantisation step, and everything that rounds to that multiple
    agrees. Nearest is meant in luminance and chrominance.

    Args:
        images: (B*K, 3, H, W) in [0, 1], the K candidates of an input contiguous.
        inputs: (B, 3, H, W) in [0, 1], decoded JPEG images whose blocks start at the top left of
            the stored image; or other images that agree with those, as `deblocked` makes them.
        jpeg: quantisation of the B inputs.

    Returns:
        (B*K, 3, H, W) fp32; values may leave [0, 1] by a little.
    """
    by = jpeg.subsampling
    with without_autocast(images.device):
        own, given = (as_stored(i.float(), jpeg.orientation) for i in (images, inputs))
        height, width = own.shape[-2:]
        own, given = (_whole_blocks(i, by) for i in (own, given))
        grouped = own.unflatten(0, (inputs.shape[0], -1))
        luminance, chrominance = _planes(grouped, by)
        given_luminance, given_chrominance = _planes(given.unsqueeze(1), by)
        steps = jpeg.tables.float()
        fine = _moved_into_interval(luminance, given_luminance, steps[:, 0])
        coarse = _moved_into_interval(chrominance, given_chrominance, steps[:, 1])
        agreed = (grouped + _rgb_change(fine, coarse, by)).flatten(0, 1)[..., :height, :width]
        return upright(agreed, jpeg.orientation)


def _smooth_change(plane: Tensor, steps: Tensor) -> Tensor:
    """The change of planes to the nearest agreement with their blocks' means, interpolated.

    Args:
        plane: (B, 1, C, H, W), H and W multiples of 8.
        steps: (B, 8, 8) quantisation steps; nothing changes where they are unknown.
    """
    smooth = enlarged(F.avg_pool2d(plane.flatten(0, 2), 8), 8).view_as(plane)
    change = smooth + _moved_into_interval(smooth, plane, steps) - plane
    known = (steps < UNKNOWN_STEP).flatten(1).all(dim=1)
    return change * known[:, None, None, None, None]


def _disagreeing(images: Tensor, inputs: Tensor, jpeg: JpegIntervals) -> Tensor:
    """(B, 1, H, W): which pixels belong to blocks that a JPEG file would store otherwise.

    Args:
        images: (B, 3, H, W) in [0, 1], H and W of whole blocks of luminance and chrominance.
        inputs: (B, 3, H, W) in [0, 1].
        jpeg: quantisation of the B inputs.
    """
    by, steps = jpeg.subsampling, jpeg.tables.float()
    own, given = (_planes(i.unsqueeze(1), by) for i in (images, inputs))
    side = (8 * by[0], 8 * by[1])
    differs = torch.zeros_like(images[:, :1])
    for plane in (0, 1):
        changed = _levels(own[plane], steps[:, plane]) != _levels(given[plane], steps[:, plane])
        blocks = changed.flatten(-2).any(dim=-1).any(dim=2).float()
        rows, columns = (s // n for s, n in zip(images.shape[-2:], blocks.shape[-2:], strict=True))
        differs += blocks.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
    whole = F.max_pool2d(differs, side)
    return whole.repeat_interleave(side[0], -2).repeat_interleave(side[1], -1) > 0


def _deblocked_rows(stored: Tensor, jpeg: JpegIntervals) -> Tensor:
    height, width = stored.shape[-2:]
    whole = _whole_blocks(stored, jpeg.subsampling)
    luminance, chrominance = _planes(whole.unsqueeze(1), jpeg.subsampling)
    steps = jpeg.tables.float()
    fine, coarse = _smooth_change(luminance, steps[:, 0]), _smooth_change(chrominance, steps[:, 1])
    changed = (whole + _rgb_change(fine, coarse, jpeg.subsampling).squeeze(1)).clamp(0, 1)
    for _ in range(DEBLOCKED_TURNS):
        changed = agree_with_jpeg(changed, whole, jpeg._replace(orientation=1)).clamp(0, 1)
    # What the clamp still moves out of its interval would be taken for another file's.
    agreed = torch.where(_disagreeing(changed, whole, jpeg), whole, changed)
    return agreed[..., :height, :width]


@torch.no_grad()
def deblocked(inputs: Tensor, jpeg: JpegIntervals) -> Tensor:
    """JPEG images without the borders of their blocks, in agreement with themselves.

    Of all images that agree with the file, the one nearest to the bilinear interpolation of its
    blocks' means: a generator that starts from it has no blocks to unlearn. Computed in bands of
    rows; no border between them shows.

    Args:
        inputs: (B, 3, H, W) in [0, 1], decoded JPEG images.
        jpeg: their quantisation; an image of unknown quantisation stays as it is.

    Returns:
        (B, 3, H, W) in [0, 1], fp32.
    """
    reach = 8 * jpeg.subsampling[0]
    with without_autocast(inputs.device):
        stored = as_stored(inputs.float(), jpeg.orientation)
        result, height = torch.empty_like(stored), stored.shape[-2]
        for top in range(0, height, DEBLOCKED_ROWS):
            bottom = min(top + DEBLOCKED_ROWS, height)
            above = max(0, top - reach)
            band = _deblocked_rows(stored[..., above : bottom + reach, :], jpeg)
            result[..., top:bottom, :] = band[..., top - above : bottom - above, :]
        return upright(result, jpeg.orientation)
