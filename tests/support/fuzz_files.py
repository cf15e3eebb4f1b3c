"""Valid files of every container and archive, to be damaged."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import tifffile
import torch
from PIL import Image, features

import chimle
from chimle.bundles.pack import pack
from tests.bundles.test_published_checkpoints import published_state
from tests.support.projects import noise_image, tiny_bundle
from tests.support.world import tar, zip_

FORMATS: dict[str, dict[str, Any]] = {
    "png": {},
    "jpg": {"quality": 90},
    "tif": {"compression": "tiff_lzw"},
    "webp": {},
    "gif": {},
    "bmp": {},
    "dib": {},
    "ppm": {},
    "tga": {},
    "ico": {"sizes": [(16, 12)]},
    "jp2": {},
    "avif": {},
    "qoi": {},
    "dds": {},
    "pcx": {},
    "sgi": {},
}
"""Containers, with Pillow's options for writing them."""


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _animated(frames: list[Image.Image], kind: str) -> bytes:
    copies = [frame.copy() for frame in frames]  # Pillow leaves what one format needs on a frame.
    return _saved(copies[0], kind, save_all=True, append_images=copies[1:])


def _tiff(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, metadata=None, **options)
    return buffer.getvalue()


def _psd(rgb: np.ndarray) -> bytes:
    height, width = rgb.shape[:2]
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3)
    return head + bytes(12) + bytes(2) + rgb.transpose(2, 0, 1).tobytes()


def _sun(rgb: np.ndarray) -> bytes:
    height, width = rgb.shape[:2]
    head = struct.pack(">8I", 0x59A66A95, width, height, 24, rgb.size, 1, 0, 0)
    return head + rgb[..., ::-1].tobytes()


def _icns(image: Image.Image) -> bytes:
    content = _saved(image.resize((16, 16)), "PNG")
    entry = b"icp4" + struct.pack(">I", len(content) + 8) + content
    return b"icns" + struct.pack(">I", len(entry) + 8) + entry


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    return exif


def odd_images() -> dict[str, Callable[[], bytes]]:
    """Makers of files beside those of `FORMATS`, by name."""
    rgb = noise_image((12, 16))
    image = Image.fromarray(rgb)
    frames = [Image.fromarray(np.roll(rgb, n, 0)) for n in range(3)]
    deep = np.arange(192, dtype=np.uint16).reshape(12, 16) * 300
    floats = rgb.astype(np.float32) / 255
    return {
        "image.psd": lambda: _psd(rgb),
        "image.ras": lambda: _sun(rgb),
        "image.icns": lambda: _icns(image),
        "image.xbm": lambda: _saved(image.convert("1"), "XBM"),
        "image.pbm": lambda: _saved(image.convert("1"), "PPM"),
        "text.ppm": lambda: b"P3 2 2 255 " + b"10 20 30 " * 4,
        "image.mpo": lambda: _animated(frames, "MPO"),
        "frames.gif": lambda: _animated(frames, "GIF"),
        "frames.png": lambda: _animated(frames, "PNG"),
        "frames.webp": lambda: _animated(frames, "WEBP"),
        "pages.tif": lambda: _animated(frames, "TIFF"),
        "deep.png": lambda: _saved(Image.fromarray(deep), "PNG"),
        "deep.tif": lambda: _tiff(deep, byteorder=">", compression="zlib"),
        "deflate.tif": lambda: _saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": lambda: _saved(image, "TIFF", compression="jpeg"),
        "fax.tif": lambda: _saved(image.convert("1"), "TIFF", compression="group4"),
        "float.tif": lambda: _tiff(floats, compression="zlib", predictor=3, photometric="rgb"),
        "planes.tif": lambda: _tiff(
            np.moveaxis(rgb, 2, 0), planarconfig="separate", photometric="rgb"
        ),
        "big.tif": lambda: _tiff(rgb, bigtiff=True, tile=(16, 16), photometric="rgb"),
        "exif.jpg": lambda: _saved(image, "JPEG", exif=_exif(6), icc_profile=b"no profile"),
        "exif.tif": lambda: _saved(image, "TIFF", exif=_exif(6)),
        "exif.webp": lambda: _saved(image, "WEBP", exif=_exif(5)),
        "cmyk.jpg": lambda: _saved(image.convert("CMYK"), "JPEG"),
        "palette.png": lambda: _saved(image.convert("P"), "PNG", transparency=0),
        "alpha.tga": lambda: _saved(image.convert("RGBA"), "TGA", compression="tga_rle"),
    }


def archives() -> dict[str, bytes]:
    """Archives of two images, by name."""
    image = _saved(Image.fromarray(noise_image((40, 36))), "PNG")
    members = [("a/one.png", image), ("b/two.png", image)]
    kinds = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
    packed = {f"photos.{kind}": tar(*members, mode=mode) for kind, mode in kinds.items()}
    return packed | {"photos.zip": zip_(*members)}


def write_world(root: Path) -> dict[str, bytes]:
    """Write valid files of every kind; returns the contents of those that are damaged, by name."""
    files = root / "files"
    files.mkdir(parents=True)
    image = Image.fromarray(noise_image((12, 16)))
    for suffix, options in FORMATS.items():
        if suffix != "avif" or features.check("avif"):
            image.save(files / f"image.{suffix}", **options)
    pillow_heif.from_pillow(image.resize((64, 48))).save(files / "image.heic")
    for name, make in odd_images().items():
        (files / name).write_bytes(make())
    for name, content in archives().items():
        (files / name).write_bytes(content)
    bundle = tiny_bundle(root / "bundle", "night_to_day", levels=1)
    pack(chimle.load(bundle).bundle, files / "bundle.zip", "cc0-1.0", root)
    buffer = io.BytesIO()
    torch.save(published_state(chimle.load(bundle).bundle.tower), buffer)
    (files / "weights.pth").write_bytes(buffer.getvalue())
    (files / "table.csv").write_text("output,target,input\nimage.png,image.png,image.png\n")
    return {path.name: path.read_bytes() for path in files.iterdir()}
