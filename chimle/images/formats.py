"""Image formats that are read, and the file extensions that belong to them."""

import os
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

_FORMATS = (
    "AVIF",
    "BMP",
    "DDS",
    "DIB",
    "GIF",
    "ICNS",
    "ICO",
    "JPEG",
    "JPEG2000",
    "MPO",
    "PCX",
    "PNG",
    "PPM",
    "PSD",
    "QOI",
    "SGI",
    "SUN",
    "TGA",
    "TIFF",
    "WEBP",
    "XBM",
)
"""Formats by Pillow's names. Left out are those that start another program (EPS), run in a player
(MPEG), hold data instead of images (HDF5), or are read on Windows only (WMF)."""
_HEIF_EXTENSIONS = frozenset({".heic", ".heif", ".heics", ".heifs", ".hif"})
_MORE_EXTENSIONS = {".mpo": "MPO", ".jif": "JPEG", ".jpf": "JPEG2000"}
_USUAL = {"JPEG": ".jpg", "JPEG2000": ".jp2", "SUN": ".ras", "TIFF": ".tif"}
"""Extensions of formats whose name is none."""
_RAW = (
    "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 "
    "srf srw x3f"
)
RAW_EXTENSIONS = frozenset(f".{name}" for name in _RAW.split())
"""Extensions of cameras' raw files, whose first image is a preview."""
NO_RAW = "raw files are not read: develop it to TIFF or PNG first"
NO_HEIF = "HEIC needs the package pillow-heif: pip install 'chimle[heic]'"


@cache
def _registered() -> tuple[tuple[str, ...], frozenset[str]]:
    """Formats that this installation decodes, and their extensions."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    pairs = {**Image.registered_extensions(), **_MORE_EXTENSIONS}
    extensions = {extension for extension, name in pairs.items() if name in formats}
    if find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats.append("HEIF")
        extensions |= _HEIF_EXTENSIONS
    return tuple(formats), frozenset(extensions)


def decodable_formats() -> tuple[str, ...]:
    """Formats that this installation decodes, by Pillow's names."""
    return _registered()[0]


def image_extensions() -> frozenset[str]:
    """Extensions, in lower case with their dot, of the formats that this installation decodes."""
    return _registered()[1]


def extension_of(name: str) -> str:
    """A file name's extension in lower case, with its dot; empty if it has none."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name need not be a path


def usual_extension(name: str) -> str:
    """The extension of a format that is read, by Pillow's name."""
    return _USUAL.get(name, f".{name.lower()}")


def extension_of_content(path: Path) -> str | None:
    """The extension that a file of this content usually has; None if it is no image."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(path, formats=decodable_formats()) as image,
        ):
            return usual_extension(image.format or "")
    except Exception:  # noqa: BLE001 - decoders raise almost anything
        return None


def reason_against(name: str) -> str | None:
    """Why a file of this name is no image that is read; None: its extension is a known one."""
    extension = extension_of(name)
    if extension in image_extensions():
        return None
    if extension in RAW_EXTENSIONS:
        return NO_RAW
    if extension in _HEIF_EXTENSIONS:
        return NO_HEIF
    return f"no image file ({extension})" if extension else "no image file (no extension)"
