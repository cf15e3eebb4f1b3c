"""TIFF files: pages, deep values through tifffile, and detection of cameras' raw files."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from chimle.errors import UserError
from chimle.images.depth import float_range, to_8_bits
from chimle.images.formats import NO_RAW

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""
NO_CODECS = "its compression needs the package imagecodecs: pip install 'chimle[tiff]'"
_SUBFILE_TYPE, _BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR = 254, 258, 259, 262, 284
_ORIENTATION, _SUB_IFDS, _DNG_VERSION = 274, 330, 50706
_REDUCED = 1
"""Bit of the subfile type: a thumbnail of another page."""
_YCBCR = 6
_RAW_PHOTOMETRICS = frozenset({32803, 34892})
"""Colour filter array and linear raw: a sensor's values instead of colours."""
_MODES = {
    (1, 0): "L",
    (1, 1): "La",
    (1, 2): "LA",
    (3, 0): "RGB",
    (3, 1): "RGBa",
    (3, 2): "RGBA",
    (4, 0): "CMYK",
}
"""Pillow's modes by the number of colours and the kind of opacity: none, premultiplied, plain."""


def seek_full_size(image: TiffImageFile) -> None:
    """Go to the first page that is no thumbnail of another one."""
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        if not int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & _REDUCED:
            return
    image.seek(0)


def _bits(image: TiffImageFile) -> int:
    bits = image.tag_v2.get(_BITS, (1,))
    return int(max(bits)) if isinstance(bits, tuple) else int(bits)


def prefers_tifffile(image: TiffImageFile) -> bool:
    """Whether a page is of a kind of which Pillow misreads some layouts.

    These are more than 8 bits per value, separate planes, and uncompressed YCbCr.
    """
    tags = image.tag_v2
    raw_ycbcr = tags.get(_PHOTOMETRIC) == _YCBCR and tags.get(_COMPRESSION, 1) == 1
    return raw_ycbcr or _bits(image) > 8 or _has_planes(image)


def _has_planes(image: TiffImageFile) -> bool:
    return int(image.tag_v2.get(_PLANAR, 1)) != 1


def pillow_reads(image: TiffImageFile) -> bool:
    """Whether Pillow reads such a page correctly where tifffile lacks its compression.

    Of separate planes it reads 8-bit colours, of big-endian values up to 16 bits.
    """
    if _has_planes(image):
        return _bits(image) <= 8 and image.mode in ("RGB", "RGBA")
    return _bits(image) <= 16 or image.tag_v2.prefix == b"II"


def refuse_raw(path: Path) -> None:
    """`UserError` if a TIFF file is a camera's raw file, whose first image is a preview."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            raw = _DNG_VERSION in page.tags or page.photometric in _RAW_PHOTOMETRICS
            if not raw and _SUB_IFDS in page.tags and page.is_reduced:
                raw = any(sub.photometric in _RAW_PHOTOMETRICS for sub in page.pages)
    except Exception:  # noqa: BLE001 - the decoder says what is wrong with it
        return
    if raw:
        raise UserError(f"{path}: {NO_RAW}")


def read_tiff(path: Path, largest: int) -> tuple[Image.Image, int]:
    """A TIFF file's first full-size page as an 8-bit image with its profile, and its orientation.

    Args:
        path: the file.
        largest: pixels that are decoded at most.

    Raises:
        UserError: it is too large, or its compression needs another package.
        Exception: it is damaged, or of an unknown kind; tifffile raises almost anything.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        pages: list[Any] = [page for page in file.pages if not getattr(page, "is_reduced", False)]
        page: Any = pages[0] if pages else file.pages[0]
        if page.imagewidth * page.imagelength > largest:
            raise UserError(
                f"{path} has {page.imagewidth}x{page.imagelength} pixels, more than the "
                f"{largest:,} that are read: reduce it first"
            )
        try:
            values = page.asarray()
        except (ValueError, ImportError) as error:
            if isinstance(error, ImportError) or "imagecodecs" in str(error):
                raise UserError(f"{path} cannot be read: {NO_CODECS}") from None
            raise
        image = _image(page, values)
        if page.iccprofile:
            image.info["icc_profile"] = bytes(page.iccprofile)
        tag = page.tags.get(_ORIENTATION)
        return image, int(tag.value) if tag is not None and tag.count == 1 else 1


def _image(page: Any, values: np.ndarray) -> Image.Image:
    """A page's values as an 8-bit image of the mode that its colours and opacity have."""
    import tifffile

    kind, photometric = values.dtype.kind, page.photometric
    if values.ndim == 2:
        values = values[..., None]
    elif page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3:
        raise ValueError(f"no image: its values have the shape {values.shape}")
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        values = np.moveaxis(np.asarray(page.colormap), 0, -1)[values[..., 0]]
        full = 65535.0
    elif kind == "f":
        full = float_range(values)
    elif kind == "u":
        full = float(2**page.bitspersample - 1)
    elif kind == "i":  # Signed 32-bit images hold 16-bit values.
        full = float(2 ** min(page.bitspersample - 1, 16) - 1)
    else:
        raise ValueError(f"no image: its values are {values.dtype}")
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE and kind != "f":
        values = full - values.astype(np.float32)
    colours = {tifffile.PHOTOMETRIC.SEPARATED: 4, tifffile.PHOTOMETRIC.MINISBLACK: 1}.get(
        photometric, 1 if values.shape[2] < 3 else 3
    )
    extra = [int(sample) for sample in page.extrasamples]
    opacity = extra[0] if extra and extra[0] in (1, 2) and colours < 4 else 0
    used = colours + bool(opacity)
    if values.shape[2] < used or (colours, opacity) not in _MODES:
        raise ValueError(f"no image: its values have the shape {values.shape}")
    content = to_8_bits(values[..., :used], full)
    size = (content.shape[1], content.shape[0])
    ycbcr = photometric == _YCBCR and page.compression == 1
    mode = "YCbCr" if ycbcr else _MODES[colours, opacity]
    return Image.frombytes(mode, size, content.tobytes())
