"""Colours of TIFF pages: which are read, and how their values become 8-bit images.

A page's photometric interpretation says what its values mean (TIFF 6.0; for ICC Lab the TIFF
Technical Notes of Adobe PageMaker 6.0). Those that are not listed here are refused.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from chimle.images.depth import float_range, to_8_bits

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3
_INKS, _YCBCR, _CIE_LAB, _ICC_LAB = 5, 6, 8, 9
_COLOURS = {
    _WHITE_IS_ZERO: 1,
    _BLACK_IS_ZERO: 1,
    _RGB: 3,
    _PALETTE: 1,
    _INKS: 4,
    _YCBCR: 3,
    _CIE_LAB: 3,
    _ICC_LAB: 3,
}
"""Photometric interpretations that are read, and how many of a pixel's samples are its colours."""
_NAMES = {4: "a mask", 10: "ITU Lab", 32844: "LogL", 32845: "LogLuv", 51177: "a depth map"}
_PHOTOMETRIC, _INK_SET, _LUMA_SHARES, _BLACK_AND_WHITE = 262, 332, 529, 532
_CMYK = 1
"""Ink set of cyan, magenta, yellow and black."""
_PREMULTIPLIED, _PLAIN = 1, 2
"""Kinds of extra samples that are an opacity."""
_DIVISIBLE = frozenset({_BLACK_IS_ZERO, _RGB, _INKS})
"""Interpretations of which colours that were multiplied by an opacity are read."""
_JPEG = frozenset({6, 7, 33007, 34892})
_COLOUR_BLIND = frozenset({1, 5, 8, 32773, 32946, 34887, 34925, 50000, 50013})
"""Compressions that keep values as they are."""
_ROWS = 256
"""Rows that are converted at once, which bounds memory."""
_D50 = (0.9642, 1.0, 0.8249)
_XYZ_TO_LINEAR = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)
"""XYZ relative to D50 to linear light of sRGB (Bradford adaptation)."""

_Band = Callable[..., np.ndarray]
"""From rows of values to rows of uint8."""


def unread_colours(page: Any) -> str | None:
    """Why the colours of a page of tifffile are not read, as a sentence; None: they are."""
    photometric, kind = int(page.photometric), _kind(page)
    if _PHOTOMETRIC not in page.tags:
        return "it does not say what its values mean (no PhotometricInterpretation)"
    if photometric not in _COLOURS:
        name = _NAMES.get(photometric, f"PhotometricInterpretation {photometric}")
        return f"its values are those of {name}"
    if isinstance(page.bitspersample, tuple):
        return "its values have different depths"
    if _opacity(page)[1] == _PREMULTIPLIED and photometric not in _DIVISIBLE:
        return "its colours are multiplied by an opacity and are neither RGB, grey nor CMYK"
    if photometric == _INKS and not _is_cmyk(page):
        return "its inks are others than cyan, magenta, yellow and black"
    if photometric in (_CIE_LAB, _ICC_LAB) and kind not in ("u8", "u16"):
        return "it is in Lab of others than unsigned integers of 8 or 16 bits"
    return _unread_chroma(page) if photometric == _YCBCR else None


def _kind(page: Any) -> str:
    """Kind of a page's values and their bits, such as `u16`."""
    return "" if page.dtype is None else f"{page.dtype.kind}{page.bitspersample}"


def _is_cmyk(page: Any) -> bool:
    tag = page.tags.get(_INK_SET)
    inks = page.samplesperpixel - len(page.extrasamples)
    return inks == _COLOURS[_INKS] and (tag is None or tag.value == _CMYK)


def _unread_chroma(page: Any) -> str | None:
    """`unread_colours` of a page in luminance and chroma."""
    if _is_decoded_to_rgb(page):
        return "it is in YCbCr with further samples" if page.extrasamples else None
    if page.compression not in _JPEG | _COLOUR_BLIND:
        return "it is in YCbCr of a compression that is read of RGB only"
    if not _kind(page).startswith("u"):
        return "it is in YCbCr of others than unsigned integers"
    read_by_pillow = page.planarconfig == 1 and page.compression != 1 and page.bitspersample <= 8
    if page.is_subsampled and not read_by_pillow:
        return "it is in YCbCr with subsampled chroma, which is not read so stored"
    return None


def _is_decoded_to_rgb(page: Any) -> bool:
    """Whether a page is JPEG in luminance and chroma, which its decoder converts."""
    return page.photometric == _YCBCR and page.compression in _JPEG and page.planarconfig == 1


def _opacity(page: Any) -> tuple[int, int | None]:
    """Index among a page's samples and kind of the one that is an opacity; the kind may be None."""
    first = _COLOURS.get(int(page.photometric), 0)
    kinds = [int(kind) for kind in page.extrasamples]
    if not kinds and page.photometric == _RGB and page.samplesperpixel == first + 1:
        kinds = [_PLAIN]  # Some programs do not say it.
    found = (n for n, kind in enumerate(kinds) if kind in (_PREMULTIPLIED, _PLAIN))
    index = next(found, None)
    return (first, None) if index is None else (first + index, kinds[index])


def image_of(page: Any, values: np.ndarray) -> tuple[Image.Image, Image.Image | None]:
    """A page as 8-bit colours of mode L, RGB or CMYK, and its opacity of mode L, if it has one.

    Colours that were multiplied by the opacity are divided by it.

    Args:
        page: a page of tifffile whose colours are read (`unread_colours`).
        values: of the page: (H, W), (H, W, S), or (S, H, W) of separate planes.

    Raises:
        ValueError: the values are none of an image.
    """
    if values.ndim == 2:
        values = values[..., None]
    elif page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    used, (at, opacity) = _COLOURS[int(page.photometric)], _opacity(page)
    if values.ndim != 3 or values.shape[2] < (used if opacity is None else at + 1):
        raise ValueError(f"no image: its values have the shape {values.shape}")
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    colours, extra = values[..., :used], values[..., at : at + 1]
    convert = _conversion(page, _full(page, colours))
    if opacity is None:
        return _image(_in_bands(convert, colours)), None
    full = _full(page, extra)
    alpha = Image.fromarray(to_8_bits(extra[..., 0], full))
    if opacity == _PLAIN:
        return _image(_in_bands(convert, colours)), alpha

    def divided(band: np.ndarray, share: np.ndarray) -> np.ndarray:
        out = np.zeros(band.shape, dtype=np.float32)
        return convert(np.divide(band * np.float32(full), share, out=out, where=share > 0))

    return _image(_in_bands(divided, colours, extra)), alpha


def _full(page: Any, values: np.ndarray) -> float:
    """The value that stands for the most light, ink or opacity."""
    match values.dtype.kind:
        case "f":
            return float_range(values)
        case "u":
            return float(2**page.bitspersample - 1)
        case "i":  # Signed 32-bit images hold 16-bit values.
            return float(2 ** min(page.bitspersample - 1, 16) - 1)
    raise ValueError(f"no image: its values are {values.dtype}")


def _in_bands(convert: _Band, *arrays: np.ndarray) -> np.ndarray:
    """Arrays of (H, W, S) as (H, W, C) uint8, converted a few rows at a time."""
    bands = range(0, len(arrays[0]), _ROWS)
    return np.concatenate([convert(*(a[top : top + _ROWS] for a in arrays)) for top in bands])


def _image(content: np.ndarray) -> Image.Image:
    """(H, W, C) uint8 as an image of mode L, RGB or CMYK, by its channels."""
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[content.shape[2]]
    return Image.frombytes(mode, (content.shape[1], content.shape[0]), content.tobytes())


def _conversion(page: Any, full: float) -> _Band:
    """How a page's colours (h, W, S) become (h, W, C) uint8: grey, sRGB or CMYK."""
    photometric = int(page.photometric)
    if photometric == _WHITE_IS_ZERO:
        return lambda band: 255 - to_8_bits(band, full)
    if photometric == _PALETTE:
        table = _palette(page)
        return lambda band: table[band[..., 0]]
    if photometric == _YCBCR and not _is_decoded_to_rgb(page):
        return _from_ycbcr(page, full)
    if photometric in (_CIE_LAB, _ICC_LAB):
        return lambda band: _lab_to_srgb(_lab(band, photometric == _ICC_LAB))
    return lambda band: to_8_bits(band, full)


def _palette(page: Any) -> np.ndarray:
    """(N, 3) uint8 sRGB of a page's indices. Some programs write it with 8 bits instead of 16."""
    if page.colormap is None:
        raise ValueError("no image: it has no palette")
    table = np.moveaxis(np.asarray(page.colormap), 0, -1)
    return to_8_bits(table, 65535.0 if table.max() > 255 else 255.0)


def _from_ycbcr(page: Any, full: float) -> _Band:
    """Luminance and chroma (h, w, 3) to sRGB, by the page's own coefficients and coding range."""
    middle = (full + 1) / 2
    red, green, blue = _numbers(page, _LUMA_SHARES, (0.299, 0.587, 0.114))
    coded = _numbers(page, _BLACK_AND_WHITE, (0, full, middle, full, middle, full))
    black, white = (np.array(coded[start::2], dtype=np.float32) for start in (0, 1))
    if green <= 0 or not (white > black).all():
        raise ValueError("its YCbCr coefficients have no meaning")
    units = np.array((full, middle - 1, middle - 1), dtype=np.float32) / (white - black)

    def convert(band: np.ndarray) -> np.ndarray:
        y, cb, cr = np.moveaxis((band.astype(np.float32) - black) * units, -1, 0)
        r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
        return to_8_bits(np.stack((r, (y - blue * b - red * r) / green, b), axis=-1), full)

    return convert


def _numbers(page: Any, code: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """Numbers of a tag, fractions or not; the default where there are others than so many."""
    tag = page.tags.get(code)
    values = () if tag is None else tag.value
    if isinstance(values, tuple) and len(values) == 2 * len(default) and all(values[1::2]):
        return tuple(top / bottom for top, bottom in zip(values[::2], values[1::2], strict=True))
    return values if isinstance(values, tuple) and len(values) == len(default) else default


def _lab(band: np.ndarray, icc: bool) -> np.ndarray:
    """Lab of 8 or 16 bits (h, w, 3) as L in [0, 100], and a and b in [-128, 128).

    In CIE Lab a and b are signed; in ICC Lab they begin at -128, and white of 16 bits is 0xff00.
    """
    deep = band.dtype.itemsize > 1
    unit = np.float32(256 if deep else 1)
    if icc:
        white, chroma = 65280 if deep else 255, band[..., 1:].astype(np.float32) / unit - 128
    else:
        signed = band[..., 1:].astype(np.int16 if deep else np.int8)
        white, chroma = 65535 if deep else 255, signed.astype(np.float32) / unit
    return np.dstack((band[..., :1].astype(np.float32) * np.float32(100 / white), chroma))


def _lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Lab relative to D50 (h, w, 3) as uint8 sRGB, clipped to its gamut."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack((fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200), axis=-1)
    relative = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    xyz = relative * np.array(_D50, dtype=np.float32)
    linear = (xyz @ np.array(_XYZ_TO_LINEAR, dtype=np.float32).T).clip(0, 1)
    curved = 1.055 * linear ** (1 / 2.4) - 0.055
    return to_8_bits(np.where(linear > 0.0031308, curved, linear * 12.92), 1.0)
