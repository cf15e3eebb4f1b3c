"""Read any image as 8-bit sRGB, safely; write PNG files that are the same every time."""

import io
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from chimle.errors import UserError, describe_os_error, first_line
from chimle.images.depth import float_range, to_8_bits
from chimle.images.formats import (
    NO_HEIF,
    NO_RAW,
    RAW_EXTENSIONS,
    decodable_formats,
    extension_of,
    image_extensions,
)
from chimle.images.metadata import exif_block, orientation_of, upright, without_metadata
from chimle.images.tiff import (
    MAGIC,
    pillow_reads,
    prefers_tifffile,
    read_tiff,
    refuse_unread,
    seek_full_size,
)
from chimle.io.files import write_bytes
from chimle.io.terminal import c_output_discarded

LARGEST_PIXELS = 200_000_000
"""An image that claims more is refused before it is decoded."""
Image.MAX_IMAGE_PIXELS = LARGEST_PIXELS // 2  # Pillow refuses twice as many.
SUFFIXES = image_extensions()
"""Extensions of file names that count as images in a folder."""
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
_OPAQUE = {"LA": "L", "La": "L", "PA": "RGB", "RGBA": "RGB", "RGBa": "RGB"}
"""Modes with opacity, and the mode of their colours."""
_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""By Pillow's name for the 2 or 4 bits of a grey PNG file, the 8-bit difference of two levels."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image file.

    Attributes:
        rgb: (H, W, 3) uint8 sRGB, upright; transparent pixels are shown over white.
        alpha: (H, W) uint8 opacity; None if the file has no transparency.
        exif: the file's EXIF block without its orientation; None if it has none.
        frames: pages or frames of the file, of which the first was read.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    frames: int = 1


def _to_8_bit_grey(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit or floating-point grey as mode L.

    Integers are 16 bits deep, whatever they are stored in. A transparent value becomes an opacity.
    """
    values = np.asarray(image)
    full = float_range(values) if values.dtype.kind == "f" else 65535.0
    grey = Image.fromarray(to_8_bits(values, full))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        opacity = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        grey = Image.merge("LA", (grey, opacity))
    return grey


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours of an embedded profile as sRGB, mode RGB.

    A damaged profile, or one of other colours than the image has, is ignored.
    """
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transformed(image, lab, ImageCms.Flags.NOOPTIMIZE)
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            return _transformed(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except Exception:  # noqa: BLE001 - damaged profiles raise almost anything
            return image.convert("RGB")
    return image.convert("RGB")


def _transformed(
    image: Image.Image,
    profile: ImageCms.ImageCmsProfile,
    flags: ImageCms.Flags = ImageCms.Flags.NONE,
) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB", flags=flags)
    assert converted is not None
    return converted


def upright_srgb(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and opacity of an opened image, as `read_image` gives those of its file.

    Its EXIF orientation and its colour profile are applied. It is loaded, and otherwise left as it
    is; Pillow's functions that apply one of the two also remove or replace it.

    Returns:
        (H, W, 3) uint8 over white, and (H, W) uint8 opacity, if it has any.
    """
    step = _grey_step(image)  # A loaded image does not say how deep its file is.
    image.load()  # Some formats hold the orientation behind the pixels, or apply it here.
    turned = upright(image, orientation_of(image))
    clear = turned.info.get("transparency")
    if step > 1 and isinstance(clear, int):  # Pillow scales the pixels alone.
        turned = turned.copy()
        turned.info["transparency"] = step * clear
    return _split(turned)


def _grey_step(image: Image.Image) -> int:
    """What the levels of an opened image's file are multiplied by to become 8-bit ones."""
    tiles = getattr(image, "tile", None) if image.format == "PNG" else None
    return _GREY_STEPS.get(str(tiles[0].args), 1) if tiles else 1


def _split(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Any mode as (H, W, 3) uint8 over white and (H, W) uint8 opacity, if it has any."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bit_grey(image)
    if image.mode not in _OPAQUE and "transparency" in image.info:
        image = _with_opacity(image)
    if image.mode not in _OPAQUE:
        image = image.convert("RGB") if image.mode in ("P", "1") else image
        return np.array(_in_srgb(image, profile)), None
    colours = _OPAQUE[image.mode]
    if image.mode in ("La", "RGBa"):
        image = image.convert(f"{image.mode[:-1]}A")
    alpha = image.getchannel("A")
    return _over_white(_in_srgb(image.convert(colours), profile), alpha)


def _over_white(rgb: Image.Image, alpha: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Colours over white and their opacity, as (H, W, 3) and (H, W) uint8."""
    shown = rgb.convert("RGBA")
    shown.putalpha(alpha)
    page = Image.new("RGBA", rgb.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(page, shown).convert("RGB")), np.array(alpha)


def _with_opacity(image: Image.Image) -> Image.Image:
    """An image with a transparent colour as one with an opacity per pixel."""
    clear = image.info["transparency"]
    deep = max(clear) if image.mode == "RGB" and isinstance(clear, tuple) else clear
    if image.mode in ("RGB", "L") and isinstance(deep, int) and deep > 255:  # 16 bits in the file
        image = image.copy()
        image.info["transparency"] = (
            tuple(value >> 8 for value in clear) if isinstance(clear, tuple) else clear >> 8
        )
    return image.convert("RGBA")


def _too_large(path: Path, width: int, height: int) -> UserError:
    return UserError(
        f"{path} has {width}x{height} pixels, more than the "
        f"{LARGEST_PIXELS:,} that are read: reduce it first"
    )


def _decode_with_pillow(path: Path, stream: IO[bytes]) -> DecodedImage:
    # From a stream: Pillow maps an uncompressed TIFF that it opens by name with its turned size.
    with Image.open(stream, formats=decodable_formats()) as image:
        frames = getattr(image, "n_frames", 1)
        if isinstance(image, TiffImageFile):
            seek_full_size(image)
        if image.width * image.height > LARGEST_PIXELS:
            raise _too_large(path, *image.size)
        if isinstance(image, TiffImageFile) and prefers_tifffile(image):
            try:
                return replace(_decode_tiff(path), exif=exif_block(image), frames=frames)
            except UserError:
                if not pillow_reads(image):
                    raise
        pixels = upright_srgb(image)
        return DecodedImage(*pixels, exif_block(image), frames)


def _decode_tiff(path: Path) -> DecodedImage:
    page = read_tiff(path, LARGEST_PIXELS)
    rgb, _ = _split(upright(page.colours, page.orientation))
    if page.opacity is None:
        return DecodedImage(rgb)
    return DecodedImage(*_over_white(Image.fromarray(rgb), upright(page.opacity, page.orientation)))


def _decode(path: Path) -> DecodedImage:
    """Decode with Pillow, else with tifffile, else without the file's metadata."""
    if extension_of(path.name) in RAW_EXTENSIONS:
        raise UserError(f"{path}: {NO_RAW}")
    with path.open("rb") as stream:
        head = stream.read(12)
        is_tiff = head.startswith(MAGIC)
        if is_tiff:
            refuse_unread(path)
        stream.seek(0)
        try:
            return _decode_with_pillow(path, stream)
        except (UserError, MemoryError, Image.DecompressionBombError):
            raise
        except Exception:
            is_heif = head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
            if is_heif and "HEIF" not in decodable_formats():
                raise UserError(f"{path} cannot be read: {NO_HEIF}") from None
            if is_tiff:
                return _decode_tiff(path)
            stream.seek(0)
            stripped = without_metadata(stream.read())
            if stripped is None:
                raise
            return _decode_with_pillow(path, io.BytesIO(stripped))


def read_image(path: Path) -> DecodedImage:
    """An image file as 8-bit sRGB, upright, with its transparency and EXIF block.

    EXIF orientation and an embedded colour profile are applied; CMYK, Lab, palette, grey, 1-bit,
    16-bit and floating-point files are converted. Of several frames or pages the first counts.
    Damaged metadata is ignored.

    Raises:
        UserError: the file is missing, truncated, no image, too large, in colours that are not
            read, or needs another package.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is no file: name an image file")
        with warnings.catch_warnings(), c_output_discarded():
            warnings.simplefilter("ignore")
            return _decode(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(
            f"{path} has more than the {LARGEST_PIXELS:,} pixels that are read: reduce it first"
        ) from None
    except MemoryError:
        raise UserError(f"{path} does not fit into memory: reduce it first") from None
    except Exception as error:  # noqa: BLE001 - decoders raise almost anything on damaged files
        if isinstance(error, OSError) and error.errno and error.filename:
            raise UserError(f"{path} cannot be read: {describe_os_error(error)}") from None
        # Pillow's own message prints the object that it read from.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its format is none that is read" if unknown else first_line(error)
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
