"""Read any image as 8-bit sRGB, safely; write PNG files that are the same every time."""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from chimle.errors import UserError, first_line
from chimle.io.files import write_bytes

LARGEST_PIXELS = 200_000_000
"""An image that claims more is refused before it is decoded."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif"})
"""File name endings that count as images in a folder."""
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_DEEP_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image file.

    Attributes:
        rgb: (H, W, 3) uint8 sRGB, upright; what shines through transparency is white.
        alpha: (H, W) uint8 opacity; None where the file has no transparency.
        exif: the file's EXIF block without its orientation; None: it has none.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit or floating-point grey to 8 bits.

    Integers are 16 bits deep whatever they are stored in; floats are taken to lie in [0, 1] where
    they do, else in [0, 255].
    """
    return Image.fromarray(_to_8_bits(np.asarray(image), 65535.0))


def _to_8_bits(values: np.ndarray, full: float) -> np.ndarray:
    if values.dtype.kind == "f":
        values = values * (255.0 if values.max(initial=0) <= 1 else 1.0)
    else:
        values = values.astype(np.float32) * (255.0 / full)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _in_srgb(image: Image.Image) -> Image.Image:
    """Colours of an embedded profile as sRGB; the image as it is where it has none, or a bad one.

    A damaged profile costs accuracy of colours, not the image.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    mode = image.mode if image.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode=mode,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    assert converted is not None
    return converted


def _split(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Any mode to (H, W, 3) uint8 over white and (H, W) uint8 opacity, if it has any."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _from_deep_grey(image)
    if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
        return np.array(_in_srgb(image).convert("RGB")), None
    image = _in_srgb(image.convert("RGBA"))
    page = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(page, image).convert("RGB")), np.array(image)[..., 3]


def _read_deep_tiff(path: Path) -> DecodedImage:
    """A 16-bit colour TIFF, which Pillow does not know: (H, W, 3 or 4) of any integer or float."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if page.imagewidth * page.imagelength > LARGEST_PIXELS:  # type: ignore[union-attr]
            raise UserError(_too_large(path, page.imagewidth, page.imagelength))  # type: ignore[union-attr]
        values = page.asarray()
    if values.ndim == 3 and values.shape[0] in (3, 4) and values.shape[2] not in (3, 4):
        values = values.transpose(1, 2, 0)
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise ValueError(f"no colour image: its values are {values.shape}")
    full = float(np.iinfo(values.dtype).max) if values.dtype.kind in "ui" else 1.0
    image = Image.fromarray(np.ascontiguousarray(_to_8_bits(values, full)))
    return DecodedImage(*_split(image))


def _too_large(path: Path, width: int, height: int) -> str:
    return (
        f"{path} has {width}x{height} pixels, more than the "
        f"{LARGEST_PIXELS:,} that are read: reduce it first"
    )


def _decode(path: Path) -> DecodedImage:
    try:
        opened = Image.open(path)
    except UnidentifiedImageError:
        if path.suffix.lower() in _DEEP_TIFF:
            return _read_deep_tiff(path)
        raise
    with opened as image:
        if image.width * image.height > LARGEST_PIXELS:
            raise UserError(_too_large(path, *image.size))
        image.load()
        upright = ImageOps.exif_transpose(image)
        exif = upright.getexif()
        return DecodedImage(*_split(upright), exif.tobytes() if exif else None)


def read_image(path: Path) -> DecodedImage:
    """An image file as 8-bit sRGB, upright, with its transparency and EXIF block.

    EXIF orientation and an embedded colour profile are applied; CMYK, palette, grey, 1-bit and
    16-bit files are converted; of an animation the first frame counts.

    Raises:
        UserError: the file is missing, truncated, no image, or absurdly large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _decode(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"{path} claims an absurd size: replace it") from None
    except Exception as error:  # noqa: BLE001 - decoders raise almost anything on damaged files
        reason = first_line(error)
        raise UserError(f"{path} is damaged or no image ({reason}): replace it") from None


def read_rgb(path: Path) -> np.ndarray:
    """`read_image` as (H, W, 3) uint8, transparency over white."""
    return read_image(path).rgb


def png_bytes(
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    exif: bytes | None = None,
    text: Mapping[str, str] | None = None,
) -> bytes:
    """(H, W, 3) or (H, W) uint8, with (H, W) opacity, as PNG: the same bytes every time.

    `text` is written as text chunks, by keyword.
    """
    values = rgb if alpha is None else np.dstack((rgb, alpha))
    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_text(keyword, value)
    buffer = io.BytesIO()
    Image.fromarray(values).save(
        buffer, format="PNG", compress_level=6, exif=exif or b"", pnginfo=chunks
    )
    return buffer.getvalue()


def write_png(
    path: Path,
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    exif: bytes | None = None,
    text: Mapping[str, str] | None = None,
) -> None:
    """Write `png_bytes` to a file, atomically."""
    write_bytes(path, png_bytes(rgb, alpha, exif, text))
