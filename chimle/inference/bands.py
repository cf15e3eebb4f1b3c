"""Maps in bands of rows: borders, evaluation and change band by band, statistics over all bands."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from chimle.device import nhwc
from chimle.tower.blocks import NORM_EPSILON, StyleModulation, spatial_moments

Rows = Callable[[int, int], Tensor]
"""(top, bottom) to (N, C, bottom - top, W); rows near a border inside the map are not exact."""


def rows_of(values: Tensor, top: int, bottom: int) -> Tensor:
    """Rows of a whole map (N, C, H, W)."""
    return nhwc(values[:, :, top:bottom])


def band_borders(height: int, width: int, channels: int, reach: int, budget: int) -> list[int]:
    """Borders of the bands: 0, .., `height`.

    Args:
        height: rows of the map.
        width: pixels of a row.
        channels: floats per pixel that exist at once, over all samples.
        reach: rows of context on either side of a band.
        budget: bytes of a band with its context.
    """
    fitting = budget // (4 * channels * width)
    # Lower bands would spend more than a quarter of the work on their context.
    rows = max(fitting - 2 * reach, 8 * reach)
    return [*range(0, height, rows), height]


def by_bands(
    source: Rows, borders: Sequence[int], reach: int, into: Tensor | None = None
) -> Tensor:
    """The whole map (N, C, H, W) from `source`, band by band.

    Args:
        source: gives rows; up to `reach` of them next to a border inside the map are not exact.
        borders: of the bands, see `band_borders`.
        reach: rows of context that the source needs on either side.
        into: memory of the result; None: it is allocated.
    """
    if len(borders) == 2 and into is None:
        return source(0, borders[1])
    for top, bottom in pairwise(borders):
        above, below = max(0, top - reach), min(borders[-1], bottom + reach)
        band = source(above, below)[:, :, top - above : bottom - above]
        if into is None:
            shape = (*band.shape[:2], borders[-1], band.shape[3])
            into = torch.empty(
                shape, dtype=band.dtype, device=band.device, memory_format=torch.channels_last
            )
        into[:, :, top:bottom] = band
    assert into is not None
    return into


def replace_by_bands(
    values: Tensor, change: Callable[[Tensor], Tensor], borders: Sequence[int], reach: int
) -> None:
    """Overwrite a map with `change` of it, band by band.

    The next band needs the last rows of a band as they were: they are copied first.

    Args:
        values: (B, C, H, W), overwritten.
        change: keeps a map's shape; a row of its result depends on `reach` rows above and below.
        borders: rows between bands, from 0 to H.
        reach: rows.
    """
    above = values[:, :, :0]
    for top, bottom in pairwise(borders):
        below = min(borders[-1], bottom + reach)
        joined = nhwc(torch.cat((above, values[:, :, top:below]), dim=2))
        last = max(0, bottom - reach)
        height = above.shape[2]
        above = joined[:, :, height + last - top : height + bottom - top].clone()
        values[:, :, top:bottom] = change(joined)[:, :, height : height + bottom - top]


def moments_of_parts(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Variance and mean of each channel over parts (N, C, h, W) of one map, both (N, C, 1, 1) fp32.

    Differences of means are squared, never means: fp32 is enough, and Apple's GPUs have no other
    (Chan, Golub and LeVeque, Algorithms for Computing the Sample Variance, 1983).
    """
    rows = sum(part.shape[2] for part in parts)
    shares = [part.shape[2] / rows for part in parts]
    moments = [spatial_moments(part.float()) for part in parts]
    mean = torch.zeros_like(moments[0][1])
    for share, (_, own) in zip(shares, moments, strict=True):
        mean.add_(own, alpha=share)
    variance = torch.zeros_like(mean)
    for share, (own, at) in zip(shares, moments, strict=True):
        variance.add_(own + (at - mean).square(), alpha=share)
    return variance, mean


def modulate(values: Tensor, modulation: StyleModulation, style: Tensor) -> None:
    """Instance normalisation and style modulation of `values` (N, C, H, W), in place."""
    parts = values.split(256, dim=2)
    variance, mean = moments_of_parts(parts)
    scale, shift = modulation.affine(style)[..., None, None].float().chunk(2, dim=1)
    gain = (1 + scale) * torch.rsqrt(variance + NORM_EPSILON)
    offset = shift - mean * gain
    for part in parts:
        part.copy_(torch.addcmul(offset, part.float(), gain))
