"""Read any photograph as 8-bit sRGB, safely; write PNG files that are the same every time."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from chimle.errors import UserError
from chimle.files import write_bytes

LARGEST_PIXELS = 200_000_000
"""A picture that claims more is refused before it is decoded."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
"""File name endings that count as pictures in a folder."""
_BACKGROUND = (255, 255, 255)


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit or floating-point grey to 8 bits.

    Integers are 16 bits deep whatever they are stored in; floats are taken to lie in [0, 1] where
    they do, else in [0, 255].
    """
    values = np.asarray(picture)
    if values.dtype.kind == "f":
        values = values * (255.0 if values.max(initial=0) <= 1 else 1.0)
    else:
        values = values.astype(np.float64) / 257.0
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB; transparency shows a white page."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _from_deep_grey(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        page = Image.new("RGBA", picture.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(page, picture).convert("RGB")
    return picture.convert("RGB")


def read_rgb(path: Path) -> np.ndarray:
    """A picture file as (H, W, 3) uint8 sRGB, upright.

    EXIF orientation is applied; CMYK, palette, grey, 1-bit and 16-bit files are converted;
    transparency is laid over white; of an animation the first frame counts.

    Raises:
        UserError: the file is missing, truncated, no picture, or absurdly large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > LARGEST_PIXELS:
                    raise UserError(
                        f"{path} has {width}x{height} pixels, more than the "
                        f"{LARGEST_PIXELS:,} that are read: reduce it first"
                    )
                picture.load()
                return np.array(_to_rgb(ImageOps.exif_transpose(picture)))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"{path} claims an absurd size: replace it") from None
    except Exception as error:  # decoders raise almost anything on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged or no picture ({reason}): replace it") from None


def png_bytes(rgb: np.ndarray) -> bytes:
    """(H, W, 3) or (H, W) uint8 as PNG, the same bytes every time."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write (H, W, 3) or (H, W) uint8 as PNG, atomically."""
    write_bytes(path, png_bytes(rgb))
