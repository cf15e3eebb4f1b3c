"""Metadata of image files: EXIF orientation, the EXIF block, and files without their metadata.

Damaged metadata costs the metadata, never the image, and no warning about it reaches the user.
"""

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from chimle.images.formats import decodable_formats

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DESCRIPTIVE = frozenset({270, 271, 272, 305, 306, 315, 33432, 34665, 34853})
"""Tags on description, camera, software, time, artist, copyright, EXIF and place."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_WEBP_METADATA = frozenset({b"EXIF", b"XMP ", b"ICCP"})
_WEBP_FLAGS = 0b00101100
"""Flags of a WebP header for the profile, EXIF and XMP."""


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """An image turned as its orientation (1 to 8) says; any other value changes nothing."""
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def orientation_of(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation of an opened image; 1 if it is missing or invalid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - damaged blocks raise almost anything
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1


def exif_block(image: Image.Image) -> bytes | None:
    """The EXIF block of an opened image without its orientation; None if missing or damaged."""
    try:
        exif = image.getexif()
        exif.pop(_ORIENTATION, None)
        if image.format == "TIFF":  # Its other tags describe how the pixels are stored.
            for tag in set(exif) - _DESCRIPTIVE:
                del exif[tag]
        block = exif.tobytes() if exif else None
        if block is not None:
            Image.Exif().load(block)
    except Exception:  # noqa: BLE001 - damaged blocks raise almost anything
        return None
    return block


def exif_value(path: Path, directory: int, tag: int) -> Any:
    """A value in a directory of an image file's EXIF block; None if missing or damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=decodable_formats()) as image:
                return image.getexif().get_ifd(directory).get(tag)
    except Exception:  # noqa: BLE001 - damaged blocks raise almost anything
        return None


def without_metadata(content: bytes) -> bytes | None:
    """A PNG, JPEG or WebP file without its metadata; None for any other file, or without a change.

    Profiles, EXIF, XMP, texts and comments are removed, and with them what is damaged there.
    """
    stripped: bytes | None = None
    try:
        if content.startswith(_PNG):
            stripped = _PNG + b"".join(_png_chunks(content))
        elif content.startswith(b"\xff\xd8"):
            stripped = _jpeg_without_metadata(content)
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            stripped = _webp_without_metadata(content)
    except (struct.error, IndexError):
        return None
    return stripped if stripped != content else None


def _png_chunks(content: bytes) -> Iterator[bytes]:
    """Chunks of a PNG file that hold pixels; their checksums stay as they are."""
    start = len(_PNG)
    while start + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if kind in _PNG_PIXELS:
            yield content[start:end]
        start = end


def _jpeg_without_metadata(content: bytes) -> bytes:
    """A JPEG file without its application segments, but for JFIF and Adobe, and its comments."""
    parts, start = [content[:2]], 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker = content[start + 1]
        if marker == 0xFF:  # fill byte
            start += 1
            continue
        if marker == 0xDA:
            break
        (length,) = struct.unpack_from(">H", content, start + 2)
        if marker != 0xFE and not (0xE1 <= marker <= 0xEF and marker != 0xEE):
            parts.append(content[start : start + 2 + length])
        start += 2 + length
    return b"".join([*parts, content[start:]])


def _webp_without_metadata(content: bytes) -> bytes:
    parts, start = [], 12
    while start + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, start)
        end = start + 8 + length + length % 2
        chunk = content[start:end]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if kind not in _WEBP_METADATA:
            parts.append(chunk)
        start = end
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
