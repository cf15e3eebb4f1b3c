"""The table of odd image files: how each is made, and what happens to it."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

SMALL = np.random.default_rng(7).integers(0, 256, (3, 4, 3), dtype=np.uint8)
RGB = np.asarray(Image.fromarray(SMALL).resize((24, 16), Image.Resampling.BICUBIC))
"""The image that most files hold."""
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
WHITE, BLACK = np.full_like(RGB, 255), np.zeros_like(RGB)
DAMAGED = "… is damaged or no image (…): replace it"
RAW = "…: raw files are not read: develop it to TIFF or PNG first"
LIMIT = "… more than the 200,000,000 … that are read: reduce it first"


def grey_rgb(values: np.ndarray) -> np.ndarray:
    """(H, W) as (H, W, 3)."""
    return np.repeat(values[..., None], 3, 2)


@dataclass(frozen=True)
class OddImage:
    """A row of the table.

    Attributes:
        what: what is odd.
        name: of the file.
        make: its content.
        happens: the sentence of the refusal, `…` for anything; or how the image is read.
        shows: the pixels that are read; None: the file is refused.
        loss: largest mean difference of these, of 255.
    """

    what: str
    name: str
    make: Callable[[], bytes]
    happens: str = "read"
    shows: np.ndarray | None = None
    loss: float = 0.5

    def pattern(self) -> re.Pattern[str]:
        """What the sentence must match as a whole."""
        return re.compile(".*".join(re.escape(part) for part in self.happens.split("…")))


def saved(kind: str, values: np.ndarray | Image.Image = RGB, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(*pages: np.ndarray, **options: Any) -> bytes:
    """A file as tifffile writes it."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as writer:
        for page in pages or (RGB,):
            photometric = "rgb" if page.ndim == 3 else "minisblack"
            writer.write(page, **{"photometric": photometric, "metadata": None, **options})
    return buffer.getvalue()


def png_with(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """A PNG file with one more chunk."""
    right = zlib.crc32(kind + content) if checksum is None else checksum
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right)
    good = saved("PNG")
    return good[:33] + chunk + good[33:]


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file that claims a size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return saved("PNG")[:8] + chunk + saved("PNG")[33:]


def exif(orientation: int) -> bytes:
    """An EXIF block with an orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def entries(*fields: tuple[int, int, int, bytes], offset: int = 8) -> bytes:
    """An EXIF block with these entries: tag, kind, count, four bytes."""
    packed = b"".join(struct.pack("<HHI", *field[:3]) + field[3] for field in fields)
    head = b"Exif\0\0II*\0" + struct.pack("<I", offset)
    return head + struct.pack("<H", len(fields)) + packed + bytes(4)


def _jpeg(block: bytes) -> bytes:
    return saved("JPEG", quality=98, subsampling=0, exif=block)


def _cut(kind: str) -> bytes:
    content = saved(kind)
    return content[: len(content) // 2]


def _floats(change: float | None = None) -> bytes:
    values = RGB.astype(np.float32) / 255
    if change is not None:
        values[0, 0] = change
    return tiff(values)


def _with_first(value: int) -> np.ndarray:
    changed = RGB.copy()
    changed[0, 0] = value
    return changed


def _frames(kind: str, **options: Any) -> bytes:
    frames = [Image.fromarray(np.roll(RGB, n, 0)) for n in range(3)]
    return saved(kind, frames[0], save_all=True, append_images=frames[1:], **options)


def _transparent() -> Image.Image:
    return Image.fromarray(np.dstack((RGB, np.zeros_like(GREY))))


def _cmyk() -> bytes:
    return saved("JPEG", Image.fromarray(RGB).convert("CMYK"), quality=98, subsampling=0)


def _lab() -> bytes:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(Image.fromarray(RGB), srgb, lab, outputMode="LAB")
    assert image is not None
    return saved("TIFF", image)


def _said_to_be(photometric: int, values: np.ndarray) -> bytes:
    """A TIFF file with another photometric interpretation than it was written with."""
    content = bytearray(tiff(values))
    entry = content.index(struct.pack("<HHIH", 262, 3, 1, 2))
    struct.pack_into("<H", content, entry + 8, photometric)
    return bytes(content)


def _icc_lab() -> bytes:
    """A TIFF file in ICC Lab of 16 bits, from one in CIE Lab of 8 bits."""
    with Image.open(io.BytesIO(_lab())) as image:
        values = np.asarray(image) ^ np.array((0, 128, 128), np.uint8)  # a and b begin at -128
    return _said_to_be(9, values.astype(np.uint16) * 256)


def _lies_about_compression() -> bytes:
    content = bytearray(tiff(RGB.astype(np.float32) / 255))
    entry = content.index(struct.pack("<HHIH", 259, 3, 1, 1))
    struct.pack_into("<H", content, entry + 8, 5)  # LZW
    return bytes(content)


_JPEG_LOSS = 3.0
_TURNED = np.rot90(RGB, -1)
_TINY = RGB[:1, :1]
_DNG = [(50706, "B", 4, (1, 4, 0, 0), True)]


def _read(what: str, name: str, make: Callable[[], bytes], **fields: Any) -> OddImage:
    return OddImage(what, name, make, **{"shows": RGB, **fields})


def _jpeg_row(what: str, block: bytes, **fields: Any) -> OddImage:
    shown = {"happens": "read without it", "loss": _JPEG_LOSS, **fields}
    return _read(f"JPEG whose EXIF block {what}", "a.jpg", lambda: _jpeg(block), **shown)


def _chunk_row(what: str, kind: bytes, content: bytes, checksum: int | None = None) -> OddImage:
    def make() -> bytes:
        return png_with(kind, content, checksum)

    return _read(f"PNG with {what}", "a.png", make, happens="read without it")


def _refused(what: str, name: str, make: Callable[[], bytes], says: str = DAMAGED) -> OddImage:
    return OddImage(what, name, make, says)


NAMES = [
    _read("PNG named .jpg", "a.jpg", lambda: saved("PNG")),
    _read("JPEG named .png", "a.png", lambda: _jpeg(b""), loss=_JPEG_LOSS),
    _read("PNG named .PNG", "a.PNG", lambda: saved("PNG")),
    _read("PNG without extension, named itself", "a", lambda: saved("PNG")),
    _read("JPEG named .jpe", "a.jpe", lambda: _jpeg(b""), loss=_JPEG_LOSS),
    _read("JPEG named .jfif", "a.jfif", lambda: _jpeg(b""), loss=_JPEG_LOSS),
    _read("PNG whose name has a line break", "a\nb.png", lambda: saved("PNG")),
    _read("PNG whose name is no UTF-8", "a\udcff.png", lambda: saved("PNG")),
    _read("PNG whose name has a backslash", "a\\b.png", lambda: saved("PNG")),
    _read("PNG whose name has 255 bytes", f"{'n' * 251}.png", lambda: saved("PNG")),
    _read("PNG whose name is a pattern", "[a]*?.png", lambda: saved("PNG")),
]
METADATA = [
    _jpeg_row("is empty", b"Exif\0\0"),
    _jpeg_row("is cut off", exif(6)[:12]),
    _jpeg_row("is garbage", b"Exif\0\0" + bytes(range(60))),
    _jpeg_row("points outside itself", entries(offset=10**6)),
    _jpeg_row("points to itself", entries((34665, 4, 1, struct.pack("<I", 8)))),
    _jpeg_row("has the orientation 9", exif(9)),
    _jpeg_row("has an orientation in letters", entries((274, 2, 4, b"six\0"))),
    _jpeg_row("has a fraction over zero", entries((282, 5, 1, struct.pack("<I", 26)))),
    _jpeg_row(
        "has its prefix twice",
        b"Exif\0\0" + exif(6),
        happens="read, turned",
        shows=_TURNED,
    ),
    _jpeg_row("turns it", exif(6), happens="read, turned", shows=_TURNED),
    _chunk_row("a damaged profile", b"iCCP", b"x\0\0no deflate"),
    _chunk_row("a wrong checksum of a text", b"tEXt", b"x\0y", 1),
    _chunk_row("a text that unpacks to 100 MB", b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8))),
    _chunk_row("an international text that is cut off", b"iTXt", b"x"),
    _chunk_row("a resolution without numbers", b"pHYs", b""),
    _chunk_row("a damaged EXIF block", b"eXIf", b"\xff"),
    _chunk_row("an unknown chunk", b"abCd", b"x" * 40),
    *(
        _read(
            f"{kind} whose colour profile is garbage",
            f"a.{kind.lower()}",
            partial(saved, kind, lossless=True, icc_profile=b"no profile" * 20),
            happens="read without it",
        )
        for kind in ("PNG", "WEBP", "TIFF")
    ),
    _read(
        "JPEG with a profile of other colours",
        "a.jpg",
        lambda: saved(
            "JPEG",
            quality=98,
            subsampling=0,
            icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        ),
        happens="read without it",
        loss=_JPEG_LOSS,
    ),
    _read("PNG with bytes behind its end", "a.png", lambda: saved("PNG") + b"more" * 99),
    _read(
        "JPEG with a film behind it", "a.jpg", lambda: _jpeg(b"") + b"ftyp" * 99, loss=_JPEG_LOSS
    ),
]
DEPTH = [
    _read("TIFF of floats", "a.tif", _floats),
    *(
        _read(
            f"TIFF of floats with one pixel of {change}",
            "a.tif",
            partial(_floats, change),
            happens=f"read, that pixel {'white' if shown else 'black'}",
            shows=_with_first(shown),
        )
        for change, shown in ((1.02, 255), (900.0, 255), (-5.0, 0), (np.nan, 0), (np.inf, 255))
    ),
    _read(
        "TIFF of floats that are all NaN",
        "a.tif",
        lambda: tiff(np.full(RGB.shape, np.nan, np.float32)),
        happens="read as black",
        shows=BLACK,
    ),
    _read("TIFF of floats to 255", "a.tif", lambda: tiff(RGB.astype(np.float32))),
    _read("TIFF of 64-bit floats", "a.tif", lambda: tiff(RGB / 255)),
    _read("TIFF of 16 bits", "a.tif", lambda: tiff(RGB.astype(np.uint16) * 257)),
    _read("TIFF of 32 bits", "a.tif", lambda: tiff(RGB.astype(np.uint32) * 16843009)),
    _read(
        "PNG of 16 bits",
        "a.png",
        lambda: saved("PNG", GREY.astype(np.uint16) * 257),
        shows=grey_rgb(GREY),
    ),
    _read(
        "TIFF in which white is 0",
        "a.tif",
        lambda: tiff(255 - GREY, photometric="miniswhite"),
        shows=grey_rgb(GREY),
    ),
    _read("TIFF in Lab colours", "a.tif", _lab, loss=4),
    _read("TIFF in Lab colours of 16 bits", "a.tif", _icc_lab, loss=4),
    _read("JPEG in CMYK", "a.jpg", _cmyk, loss=_JPEG_LOSS),
    _read(
        "PNG that is transparent everywhere",
        "a.png",
        lambda: saved("PNG", _transparent()),
        happens="read as white, its opacity kept",
        shows=WHITE,
    ),
    _read("PNG of 1 pixel", "a.png", lambda: saved("PNG", _TINY), shows=_TINY),
    _read("PNG of 1 x 16 pixels", "a.png", lambda: saved("PNG", RGB[:, :1]), shows=RGB[:, :1]),
]
LAYOUT = [
    _read("animated PNG", "a.png", lambda: _frames("PNG"), happens="the first frame is read"),
    _read(
        "animated GIF", "a.gif", lambda: _frames("GIF"), happens="the first frame is read", loss=4
    ),
    _read(
        "animated WebP",
        "a.webp",
        lambda: _frames("WEBP", lossless=True),
        happens="the first frame is read",
    ),
    _read(
        "TIFF of three pages",
        "a.tif",
        lambda: tiff(RGB, BLACK, WHITE),
        happens="the first page is read",
    ),
    _read(
        "JPEG with a second image (MPO)",
        "a.mpo",
        lambda: _frames("MPO", quality=98, subsampling=0),
        happens="the first image is read",
        loss=_JPEG_LOSS,
    ),
    _read("BigTIFF", "a.tif", lambda: tiff(bigtiff=True)),
    _read("TIFF in tiles", "a.tif", lambda: tiff(tile=(16, 16))),
    _read(
        "TIFF in separate planes",
        "a.tif",
        lambda: tiff(np.moveaxis(RGB, 2, 0), planarconfig="separate"),
    ),
    _read(
        "TIFF of floats with deflate and predictor",
        "a.tif",
        lambda: tiff(RGB.astype(np.float32) / 255, compression="zlib", predictor=3),
    ),
    _read(
        "progressive JPEG",
        "a.jpg",
        lambda: saved("JPEG", quality=98, subsampling=0, progressive=True),
        loss=_JPEG_LOSS,
    ),
    _read(
        "uncompressed TIFF that is turned",
        "a.tif",
        lambda: saved("TIFF", exif=exif(6)),
        happens="read, turned",
        shows=_TURNED,
    ),
]
REFUSED = [
    _refused("empty file", "a.png", lambda: b""),
    _refused("text named .png", "a.png", lambda: b"hello"),
    _refused("web page named .jpg", "a.jpg", lambda: b"<!doctype html><p>404"),
    _refused("SVG named .png", "a.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    _refused("PDF named .png", "a.png", lambda: b"%PDF-1.7\n"),
    _refused(
        "PostScript, which other programs would run",
        "a.png",
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ),
    *(
        _refused(
            f"{kind} that is cut off",
            f"a.{kind.lower()}",
            partial(_cut, kind),
        )
        for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "TGA", "PPM", "JPEG2000")
    ),
    _refused("PNG of no pixels", "a.png", lambda: png_of_size(0, 5)),
    _refused(
        "PNG that claims 200 megapixels and holds none",
        "a.png",
        lambda: png_of_size(20_000, 10_000),
    ),
    _refused("PNG that claims 201 megapixels", "a.png", lambda: png_of_size(20_100, 10_000), LIMIT),
    _refused("PNG that claims 10 gigapixels", "a.png", lambda: png_of_size(10**5, 10**5), LIMIT),
    _refused("DNG", "a.dng", lambda: tiff(extratags=_DNG), RAW),
    _refused("DNG named .tif", "a.tif", lambda: tiff(extratags=_DNG), RAW),
    *(_refused(f"raw file {name}", f"a.{name}", lambda: b"raw", RAW) for name in ("NEF", "CR2")),
    _refused(
        "TIFF in LogLuv colours",
        "a.tif",
        lambda: _said_to_be(32845, RGB),
        "… is not read, since its values are those of LogLuv: save it as RGB first",
    ),
    _refused("TIFF whose compression is not what it says", "a.tif", _lies_about_compression),
]
TABLE = {
    "Names of images": NAMES,
    "Metadata of images": METADATA,
    "Values of images": DEPTH,
    "Several images in a file, and layouts": LAYOUT,
    "Files that are refused": REFUSED,
}
