"""TIFF files: their pages, which library reads them, and detection of cameras' raw files."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from chimle.errors import UserError
from chimle.images.formats import NO_RAW
from chimle.images.tiff_colours import image_of, unread_colours

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""
NO_CODECS = "its compression needs the package imagecodecs: pip install 'chimle[tiff]'"
_SUBFILE_TYPE, _BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR = 254, 258, 259, 262, 284
_ORIENTATION, _COLOUR_MAP, _SUB_IFDS, _SAMPLE_FORMAT, _DNG_VERSION = 274, 320, 330, 339, 50706
_REDUCED = 1
"""Bit of the subfile type: a thumbnail of another page."""
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_UNSIGNED, _SIGNED = 1, 2
_RAW_PHOTOMETRICS = frozenset({32803, 34892})
"""Colour filter array and linear raw: a sensor's values instead of colours."""


@dataclass(frozen=True)
class TiffImage:
    """A page of a TIFF file.

    Attributes:
        colours: 8-bit image of mode L, RGB or CMYK, with its profile.
        opacity: 8-bit image of mode L; None: the page has none.
        orientation: EXIF orientation of both, 1 to 8.
    """

    colours: Image.Image
    opacity: Image.Image | None
    orientation: int


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

    These are more than 8 bits per value, signed values, separate planes, palettes of 8 bits, and
    uncompressed YCbCr.
    """
    tags = image.tag_v2
    raw_ycbcr = tags.get(_PHOTOMETRIC) == _YCBCR and tags.get(_COMPRESSION, 1) == 1
    deep = _bits(image) > 8 or _sample_format(image) == _SIGNED
    return raw_ycbcr or deep or _has_planes(image) or _has_shallow_palette(image)


def _sample_format(image: TiffImageFile) -> int:
    return int(max(image.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,))))


def _has_planes(image: TiffImageFile) -> bool:
    return int(image.tag_v2.get(_PLANAR, 1)) != 1


def _has_shallow_palette(image: TiffImageFile) -> bool:
    """Whether a page's palette is of 8 bits, where TIFF says 16."""
    is_palette = image.tag_v2.get(_PHOTOMETRIC) == _PALETTE
    return is_palette and max(image.tag_v2.get(_COLOUR_MAP, (256,))) < 256


def pillow_reads(image: TiffImageFile) -> bool:
    """Whether Pillow reads such a page correctly where tifffile lacks its compression.

    Of separate planes it reads 8-bit colours. Other values it takes for unsigned ones of 8 or 16
    bits, for signed ones of 32 bits or for floats, where black is 0.
    """
    bits, kind = _bits(image), _sample_format(image)
    if _has_shallow_palette(image):
        return False
    if _has_planes(image):
        return bits <= 8 and kind == _UNSIGNED and image.mode in ("RGB", "RGBA")
    if bits > 8 and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return False
    if bits <= 8 or bits == 16:
        return kind == _UNSIGNED
    return bits == 32 and kind != _UNSIGNED and image.tag_v2.prefix == b"II"


def refuse_unread(path: Path) -> None:
    """`UserError` if a TIFF file is of a kind that is not read, but could be read wrongly.

    These are cameras' raw files, whose first image is a preview, and pages in colours that are
    neither grey, RGB, a palette, CMYK, YCbCr nor Lab.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            raw = _DNG_VERSION in page.tags or page.photometric in _RAW_PHOTOMETRICS
            if not raw and _SUB_IFDS in page.tags and page.is_reduced:
                raw = any(sub.photometric in _RAW_PHOTOMETRICS for sub in page.pages)
            reason = None if raw else unread_colours(_full_size(file))
    except Exception:  # noqa: BLE001 - the decoder says what is wrong with it
        return
    if raw:
        raise UserError(f"{path}: {NO_RAW}")
    if reason:
        raise _unread(path, reason)


def _unread(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is not read, since {reason}: save it as RGB first")


def _full_size(file: Any) -> Any:
    """The first page that is no thumbnail of another one."""
    pages = [page for page in file.pages if not getattr(page, "is_reduced", False)]
    return pages[0] if pages else file.pages[0]


def read_tiff(path: Path, largest: int) -> TiffImage:
    """A TIFF file's first full-size page.

    Args:
        path: the file.
        largest: pixels that are decoded at most.

    Raises:
        UserError: it is too large, its colours are not read, or its compression needs another
            package.
        Exception: it is damaged, or of an unknown kind; tifffile raises almost anything.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        page: Any = _full_size(file)
        if page.imagewidth * page.imagelength > largest:
            raise UserError(
                f"{path} has {page.imagewidth}x{page.imagelength} pixels, more than the "
                f"{largest:,} that are read: reduce it first"
            )
        if reason := unread_colours(page):
            raise _unread(path, reason)
        try:
            values = page.asarray()
        except (ValueError, ImportError) as error:
            if isinstance(error, ImportError) or "imagecodecs" in str(error):
                raise UserError(f"{path} cannot be read: {NO_CODECS}") from None
            raise
        image, opacity = image_of(page, values)
        if page.iccprofile:
            image.info["icc_profile"] = bytes(page.iccprofile)
        tag = page.tags.get(_ORIENTATION)
        orientation = int(tag.value) if tag is not None and tag.count == 1 else 1
        return TiffImage(image, opacity, orientation)
