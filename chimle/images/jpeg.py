"""JPEG's quantisation tables: those of a file, and those that Pillow's encoder uses at a quality.

A JPEG file holds each DCT coefficient divided by its table entry and rounded, so it says in which
interval every coefficient of its original lay (ITU-T T.81, annexes A.3.4 and K.1).
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from chimle.images.metadata import orientation_of, upright, without_metadata

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_FORMATS = ("JPEG", "MPO")
_START = b"\xff\xd8"
"""First bytes of both."""
UNKNOWN_STEP = 1e6
"""Quantisation step that stands for an unknown one: its interval restricts nothing."""


@dataclass(frozen=True)
class JpegCode:
    """How a JPEG file encodes its image.

    Attributes:
        tables: (2, 8, 8) float32 quantisation steps of luminance and chrominance, by vertical and
            horizontal frequency, for samples in [0, 255].
        subsampling: vertical and horizontal pixels per chrominance sample.
        orientation: EXIF orientation, 1 to 8: how the stored image is turned to stand upright.
    """

    tables: np.ndarray
    subsampling: tuple[int, int] = (2, 2)
    orientation: int = 1


def unknown_tables() -> np.ndarray:
    """(2, 8, 8) float32 tables that restrict no coefficient."""
    return np.full((2, 8, 8), UNKNOWN_STEP, dtype=np.float32)


def read_jpeg_code(image: Image.Image) -> JpegCode | None:
    """How an opened file encodes its image.

    Returns:
        None where it is no JPEG in luminance and chrominance (CMYK, RGB without transform), or its
        chrominance is subsampled in a way other than 1 or 2 pixels per sample.
    """
    layers = getattr(image, "layer", None)
    steps = getattr(image, "quantization", None)
    if image.format not in _FORMATS or not layers or not steps:
        return None
    if len(layers) not in (1, 3) or (len(layers) == 3 and not _has_chrominance(image, layers)):
        return None
    tables = unknown_tables()
    subsampling = (1, 1)
    try:
        tables[0] = np.reshape(steps[layers[0][3]], (8, 8))
        if len(layers) == 3:
            tables[1] = np.reshape(steps[layers[1][3]], (8, 8))
            across, down = (layers[0][i] / layers[1][i] for i in (1, 2))
            same = layers[1][1:] == layers[2][1:]
            if not same or not {across, down} <= {1, 2}:
                return None
            subsampling = (int(down), int(across))
    except (IndexError, KeyError, ValueError, ZeroDivisionError):
        return None
    return JpegCode(tables, subsampling, orientation_of(image))


def _has_chrominance(image: Image.Image, layers: Sequence[Sequence[int]]) -> bool:
    """Whether libjpeg takes three components for luminance and chrominance, not for RGB."""
    if "jfif" in image.info:
        return True
    transform = image.info.get("adobe_transform")
    if transform is not None:
        return bool(transform)
    return bytes(layer[0] for layer in layers) != b"RGB"


def jpeg_code_of(file: Path | IO[bytes], rgb: np.ndarray) -> JpegCode | None:
    """How a file encodes the image that was read from it.

    Args:
        file: an image file.
        rgb: (H, W, 3) uint8, upright or as the file stores it.

    Returns:
        None where the file is no JPEG, or its plain decoding is not `rgb` (a colour profile, say).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _code_in(file, rgb)
    except Exception:  # noqa: BLE001 - decoders raise almost anything on damaged files
        return None


def _code_in(file: Path | IO[bytes], rgb: np.ndarray) -> JpegCode | None:
    """`jpeg_code_of`; without the file's metadata, as it is read then, where they are damaged."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        start = stream.read(len(_START))
        if start != _START:
            return None
        content = start + stream.read()
    try:
        return _matching_code(io.BytesIO(content), rgb)
    except Exception:
        stripped = without_metadata(content)
        if stripped is None:
            raise
        return _matching_code(io.BytesIO(stripped), rgb)


def _matching_code(stream: IO[bytes], rgb: np.ndarray) -> JpegCode | None:
    with Image.open(stream, formats=_FORMATS) as image:
        code = read_jpeg_code(image)
        if code is None:
            return None
        stored = image.convert("RGB")
        if np.array_equal(np.asarray(upright(stored, code.orientation)), rgb):
            return code
        return replace(code, orientation=1) if np.array_equal(np.asarray(stored), rgb) else None


@cache
def quality_tables(quality: int) -> np.ndarray:
    """(2, 8, 8) float32 tables of Pillow's encoder at a quality from 1 to 100."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, format="JPEG", quality=quality)
    code = read_jpeg_code(Image.open(buffer))
    assert code is not None
    return code.tables


def code_of_degradation(how: Mapping[str, Any]) -> JpegCode | None:
    """How `degrade` encoded an input, by what it returns of it; None where that was no JPEG."""
    return JpegCode(quality_tables(how["quality"])) if how.get("kind") == "jpeg" else None


class JpegIntervals(NamedTuple):
    """What is known of the quantisation of B inputs, as tensors.

    Attributes:
        tables: (B, 2, 8, 8) quantisation steps of luminance and chrominance in [0, 255].
        subsampling: vertical and horizontal pixels per chrominance sample, the same for all B.
        orientation: EXIF orientation, 1 to 8, in which the images stand to their files' blocks.
    """

    tables: "Tensor"
    subsampling: tuple[int, int] = (2, 2)
    orientation: int = 1

    def to(self, device: "torch.device | str") -> "JpegIntervals":
        """The same on a device."""
        return self._replace(tables=self.tables.to(device))

    def rows(self, index: "Tensor | slice") -> "JpegIntervals":
        """Those inputs' share."""
        return self._replace(tables=self.tables[index])


def intervals_of(codes: Sequence[JpegCode]) -> JpegIntervals:
    """Of B inputs of one subsampling and orientation."""
    import torch

    tables = torch.from_numpy(np.stack([code.tables for code in codes]))
    return JpegIntervals(tables, codes[0].subsampling, codes[0].orientation)


def joined_intervals(parts: Sequence[JpegIntervals | None]) -> JpegIntervals | None:
    """Those of consecutive inputs as one: all or none are known, of one subsampling."""
    import torch

    known = [part for part in parts if part is not None]
    return known[0]._replace(tables=torch.cat([part.tables for part in known])) if known else None
