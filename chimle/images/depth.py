"""Reduction of 16-bit, 32-bit and floating-point values to 8 bits."""

import numpy as np

_FLOAT_RANGES = (1.0, 255.0, 65535.0)
"""Upper ends of the ranges that floating-point images use."""
_FAR_ABOVE = 2.0
"""Values above a range's end times this are far above it."""
_ROWS = 256
"""Rows that are converted at once, which bounds memory."""


def float_range(values: np.ndarray) -> float:
    """Upper end of the range of floating-point values: 1, 255 or 65535.

    It is 1 unless most positive values are far above that, so no single pixel decides it.
    """
    positive = values[np.isfinite(values) & (values > 0)]
    for end in _FLOAT_RANGES[:-1]:
        if np.count_nonzero(positive > end * _FAR_ABOVE) * 2 <= positive.size:
            return end
    return _FLOAT_RANGES[-1]


def to_8_bits(values: np.ndarray, full: float) -> np.ndarray:
    """Values as uint8, rounded and clipped; NaN becomes 0, infinities the ends of the range.

    Args:
        values: integers or floats of any shape with at least one axis.
        full: value that becomes 255; for floats use `float_range`.
    """
    out = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), _ROWS):
        rows = values[top : top + _ROWS].astype(np.float32) * np.float32(255.0 / full)
        np.nan_to_num(rows, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        out[top : top + _ROWS] = np.clip(np.rint(rows), 0, 255)
    return out
