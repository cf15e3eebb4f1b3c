"""DCT coefficients of an image in the order and quantisation of Pillow's JPEG encoder."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, JpegImagePlugin
from scipy.fft import dctn

_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
)
"""RGB to luminance and chrominance (JFIF)."""
_SUBSAMPLING = {0: (1, 1), 1: (1, 2), 2: (2, 2)}
"""Rows and columns per chrominance value, by Pillow's number for it."""


@dataclass(frozen=True)
class Quantisation:
    """What a JPEG file keeps of an image.

    Attributes:
        luminance: (8, 8) steps.
        chrominance: (8, 8) steps.
        subsampling: rows and columns per chrominance value.
    """

    luminance: np.ndarray
    chrominance: np.ndarray
    subsampling: tuple[int, int]


def quantisation(quality: int) -> Quantisation:
    """Tables and subsampling of Pillow's encoder at a quality, read from a file that it writes."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        tables = [np.array(table, float).reshape(8, 8) for table in image.quantization.values()]
        return Quantisation(
            tables[0], tables[-1], _SUBSAMPLING[JpegImagePlugin.get_sampling(image)]
        )


def _blocks(plane: np.ndarray) -> np.ndarray:
    """(..., H, W) with sides of whole blocks to orthonormal DCT coefficients (..., h, w, 8, 8)."""
    *more, height, width = plane.shape
    blocks = plane.reshape(*more, height // 8, 8, width // 8, 8).swapaxes(-3, -2)
    return np.asarray(dctn(blocks, axes=(-2, -1), norm="ortho"))


def coefficients(images: np.ndarray, by: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of luminance (..., h, w, 8, 8) and chrominance (..., 2, h', w', 8, 8).

    Args:
        images: (..., H, W, 3) uint8; borders are repeated up to whole blocks, as encoders do.
        by: rows and columns per chrominance value.
    """
    sides = images.shape[-3:-1]
    pad = [(0, -side % (8 * factor)) for side, factor in zip(sides, by, strict=True)]
    padded = np.pad(images, [(0, 0)] * (images.ndim - 3) + [*pad, (0, 0)], mode="edge")
    ycc = np.moveaxis(padded.astype(np.float64) @ _YCC.T, -1, -3)
    *more, height, width = ycc[..., 1:, :, :].shape
    chrominance = ycc[..., 1:, :, :].reshape(*more, height // by[0], by[0], width // by[1], by[1])
    return _blocks(ycc[..., 0, :, :] - 128), _blocks(chrominance.mean(axis=(-3, -1)))


def share_within(samples: np.ndarray, given: np.ndarray, steps: Quantisation) -> np.ndarray:
    """Share of each sample's coefficients that a JPEG file would round as the input's: (S,).

    Args:
        samples: (S, H, W, 3) uint8.
        given: (H, W, 3) uint8, a decoded JPEG image.
        steps: its quantisation.
    """
    within, count = np.zeros(len(samples)), 0
    own = coefficients(samples, steps.subsampling)
    inputs = coefficients(given, steps.subsampling)
    for mine, its, table in zip(own, inputs, (steps.luminance, steps.chrominance), strict=True):
        middle = np.round(its / table) * table
        inside = np.abs(mine - middle) <= table / 2
        within += inside.reshape(len(samples), -1).sum(axis=1)
        count += inside[0].size
    return np.asarray(within / count)
