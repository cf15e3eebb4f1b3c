"""The same image in every format, mode, depth, compression and orientation reads alike."""

import itertools
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from chimle.images.decode import read_image

SIZE = (20, 12)
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
"""What each EXIF orientation does to stored pixels."""


@dataclass(frozen=True)
class Kind:
    """A way to write an image with Pillow.

    Attributes:
        extension: of the file, which decides the format.
        modes: of the image.
        options: of `Image.save`.
        loss: largest mean difference, of 255.
        turns: whether the format has EXIF.
    """

    extension: str
    modes: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    loss: float = 0.5
    turns: bool = False


_TIFF = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB")
KINDS = [
    Kind("png", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), turns=True),
    *(
        Kind("tif", _TIFF, {"compression": name}, turns=True)
        for name in (None, "tiff_lzw", "tiff_deflate", "packbits", "zstd")
    ),
    Kind("tif", ("1",), {"compression": "group4"}, turns=True),
    Kind("tif", ("L", "RGB", "CMYK"), {"compression": "jpeg", "quality": 95}, 6, turns=True),
    Kind("jpg", ("L", "RGB", "CMYK"), {"quality": 98, "subsampling": 0}, 3, turns=True),
    Kind("jpg", ("L", "RGB"), {"quality": 98, "subsampling": 0, "progressive": True}, 3, True),
    Kind("webp", ("RGB", "RGBA"), {"lossless": True, "exact": True}, turns=True),
    Kind("avif", ("RGB", "RGBA"), {"quality": 100, "subsampling": "4:4:4"}, 3, turns=True),
    Kind("jp2", ("L", "LA", "RGB", "RGBA", "I;16")),
    Kind("bmp", ("1", "L", "P", "RGB")),
    Kind("tga", ("L", "LA", "P", "RGB", "RGBA")),
    Kind("tga", ("L", "RGB"), {"compression": "tga_rle", "orientation": 1}),
    Kind("ppm", ("L", "RGB", "I;16")),
    Kind("pfm", ("F",)),
    Kind("sgi", ("L", "RGB", "RGBA")),
    Kind("pcx", ("1", "L", "P", "RGB")),
    Kind("gif", ("P", "L")),
    Kind("dds", ("RGB", "RGBA")),
]
CASES = [(kind, mode) for kind in KINDS for mode in kind.modes]


def smooth(seed: int) -> np.ndarray:
    """(12, 20, 3) uint8 without symmetry."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))


def of_mode(rgb: np.ndarray, mode: str) -> tuple[Image.Image, np.ndarray, np.ndarray | None]:
    """An image of a mode, the pixels that it shows over white, and its opacity."""
    base = Image.fromarray(rgb)
    grey = np.asarray(base.convert("L"))
    shown = np.repeat(grey[..., None], 3, 2)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257), shown, None
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257), shown, None
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255), shown, None
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        made = ImageCms.profileToProfile(base, ImageCms.createProfile("sRGB"), lab, outputMode=mode)
        assert made is not None
        return made, rgb, None
    if mode in ("LA", "RGBA"):
        made = base.convert(mode)
        alpha = np.asarray(base.getchannel("G"))
        made.putalpha(Image.fromarray(alpha))
        over = Image.new("RGBA", SIZE, "white")
        over.alpha_composite(made.convert("RGBA"))
        return made, np.asarray(over.convert("RGB")), alpha
    made = base.quantize(64) if mode == "P" else base.convert(mode)
    return made, np.asarray(made.convert("RGB")), None


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def assert_shows(
    path: Path, shown: np.ndarray, alpha: np.ndarray | None, orientation: int, loss: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_image(path)
    expected = TURNS[orientation](shown).astype(float)
    assert read.rgb.shape == expected.shape
    assert read.rgb.dtype == np.uint8
    assert np.abs(read.rgb - expected).mean() <= loss, path.name
    if alpha is not None:
        assert read.alpha is not None
        assert np.abs(read.alpha - TURNS[orientation](alpha).astype(float)).mean() <= loss


@settings(max_examples=3)
@pytest.mark.parametrize(
    ("kind", "mode"), CASES, ids=lambda value: value if isinstance(value, str) else value.extension
)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_mode_of_every_format(
    kind: Kind, mode: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    image, shown, alpha = of_mode(smooth(seed), mode)
    folder = tmp_path_factory.mktemp("kind")
    # Rounding in another colour space is no property of the container.
    loss = {"LAB": 4.0, "YCbCr": 1.0}.get(mode, kind.loss)
    for orientation in TURNS if kind.turns else (1,):
        path = folder / f"{orientation}.{kind.extension}"
        options = dict(kind.options)
        if orientation > 1:
            options["exif"] = exif_of(orientation)
        image.save(path, **options)
        assert_shows(path, shown, alpha, orientation, loss)


DTYPES = ("uint8", "uint16", "uint32", "float16", "float32", "float64")


def of_dtype(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype.startswith("float"):
        return (values / 255).astype(dtype)
    return (values.astype(np.float64) / 255 * np.iinfo(dtype).max).astype(dtype)


@settings(max_examples=4)
@pytest.mark.parametrize(
    ("dtype", "channels"), list(itertools.product(DTYPES, ("L", "LA", "RGB", "RGBA")))
)
@given(data=st.data())
def test_every_depth_of_tiff(
    dtype: str, channels: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Through tifffile: planes, tiles, byte order, BigTIFF, deflate and orientation."""
    image, shown, alpha = of_mode(smooth(data.draw(st.integers(0, 999))), channels)
    values, colours = np.asarray(image), len(channels.rstrip("A"))
    planar = values.ndim == 3 and data.draw(st.booleans(), "planar")
    options: dict[str, Any] = {
        "photometric": "rgb" if colours == 3 else "minisblack",
        "compression": data.draw(st.sampled_from([None, "zlib"]), "compression"),
        "tile": data.draw(st.sampled_from([None, (16, 16)]), "tile"),
    }
    if values.ndim == 3:
        options["planarconfig"] = "separate" if planar else "contig"
        values = np.moveaxis(values, -1, 0) if planar else values
    if alpha is not None:
        options["extrasamples"] = ["unassalpha"]
    orientation = data.draw(st.sampled_from(sorted(TURNS)), "orientation")
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    with tifffile.TiffWriter(
        path,
        bigtiff=data.draw(st.booleans(), "bigtiff"),
        byteorder=data.draw(st.sampled_from("<>"), "byteorder"),
    ) as writer:
        writer.write(
            of_dtype(values, dtype), **options, extratags=[(274, "H", 1, orientation, True)]
        )
    assert_shows(path, shown, alpha, orientation, 1)


def format_rows() -> list[tuple[str, str, str, str]]:
    """The tables above as rows of a page: format, modes or values, options, orientations."""
    turned = {True: "1 to 8", False: "1"}
    rows = [
        (
            kind.extension,
            ", ".join(kind.modes),
            ", ".join(f"{key} {value}" for key, value in kind.options.items()),
            turned[kind.turns],
        )
        for kind in KINDS
    ]
    layouts = "strips or tiles, planes, either byte order, BigTIFF, deflate"
    channels = "L, LA, RGB, RGBA"
    return [*rows, *(("tif", f"{channels} of {dtype}", layouts, "1 to 8") for dtype in DTYPES)]


def test_the_table_is_long_enough() -> None:
    """Formats times modes times orientations, counted once."""
    pillow = sum(len(TURNS) if kind.turns else 1 for kind, _ in CASES)
    assert pillow + len(DTYPES) * 4 >= 80
