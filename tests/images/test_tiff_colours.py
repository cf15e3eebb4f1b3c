"""A TIFF page in any colours is read as these colours, or refused with a sentence."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.errors import UserError
from chimle.images.decode import DecodedImage, read_image
from tests.images.test_decode_kinds import smooth

LINEAR_TO_XYZ = np.array(
    (
        (0.4360747, 0.3850649, 0.1430804),
        (0.2225045, 0.7168786, 0.0606169),
        (0.0139322, 0.0971045, 0.7141733),
    )
)
"""Linear light of sRGB to XYZ relative to D50."""
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339


def lab_of(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 as Lab relative to D50."""
    x = rgb / 255
    linear = np.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)
    xyz = linear @ LINEAR_TO_XYZ.T / (0.9642, 1.0, 0.8249)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def cie_lab(rgb: np.ndarray, bits: int) -> np.ndarray:
    """TIFF's CIE Lab: a and b are signed."""
    lab, kind = lab_of(rgb), f"u{bits // 8}"
    light = np.rint(lab[..., :1] / 100 * (2**bits - 1)).astype(kind)
    signed = np.rint(lab[..., 1:] * 2 ** (bits - 8)).astype(f"i{bits // 8}")
    return np.dstack((light, signed.view(kind)))


def icc_lab(rgb: np.ndarray, bits: int) -> np.ndarray:
    """TIFF's ICC Lab: a and b begin at -128, and white of 16 bits is 0xff00."""
    lab, unit = lab_of(rgb), 2 ** (bits - 8)
    light = lab[..., :1] / 100 * 255 * unit
    values: np.ndarray = np.rint(np.dstack((light, (lab[..., 1:] + 128) * unit)))
    return values.astype(f"u{bits // 8}")


def ycbcr(rgb: np.ndarray, bits: int, luma: tuple[float, ...] = (0.299, 0.587, 0.114)) -> Any:
    """Luminance and chroma of the full coding range."""
    full, middle = 2**bits - 1, 2 ** (bits - 1)
    r, g, b = np.moveaxis(rgb / 255, -1, 0)
    y = luma[0] * r + luma[1] * g + luma[2] * b
    chroma = [(b - y) / (2 - 2 * luma[2]), (r - y) / (2 - 2 * luma[0])]
    coded = [full * y, *(2 * (middle - 1) * c + middle for c in chroma)]
    return np.rint(np.stack(coded, axis=-1)).astype(f"u{bits // 8}")


def write(path: Path, values: np.ndarray, photometric: int | None, **options: Any) -> None:
    """A TIFF file whose values are said to be of an interpretation; None: nothing is said."""
    if options.pop("planar", False):
        values, options["planarconfig"] = np.moveaxis(values, -1, 0), "separate"
    elif values.ndim == 3:
        options["planarconfig"] = "contig"
    other = "minisblack" if values.ndim == 2 else "rgb"
    names: dict[int | None, Any] = {0: "miniswhite", 1: "minisblack", 5: "separated"}
    named = names.get(photometric, other)
    tifffile.imwrite(path, values, photometric=named, metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags[PHOTOMETRIC]
        offset, order = tag.offset, file.byteorder
        if photometric is not None:
            tag.overwrite(photometric)
    if photometric is None:  # The tag becomes an unknown one between its neighbours.
        content = bytearray(path.read_bytes())
        struct.pack_into(f"{order}H", content, offset, PHOTOMETRIC - 1)
        path.write_bytes(content)


def assert_reads(path: Path, shown: np.ndarray, loss: float) -> DecodedImage:
    read = read_image(path)
    assert read.rgb.shape == shown.shape
    assert np.abs(read.rgb - shown.astype(float)).max() <= loss
    return read


Coded = Callable[[np.ndarray, int], np.ndarray]
KINDS: dict[str, tuple[int, int, Coded, float]] = {
    "YCbCr of 8 bits": (6, 8, ycbcr, 3),
    "YCbCr of 16 bits": (6, 16, ycbcr, 1),
    "CIE Lab of 8 bits": (8, 8, cie_lab, 4),
    "CIE Lab of 16 bits": (8, 16, cie_lab, 1),
    "ICC Lab of 8 bits": (9, 8, icc_lab, 4),
    "ICC Lab of 16 bits": (9, 16, icc_lab, 1),
}
"""Photometric interpretation, bits, how colours are coded, and the largest difference of 255."""
NOT_SUBSAMPLED = (530, "H", 2, (1, 1), True)


@settings(max_examples=8)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_other_colours_than_rgb(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In planes or not, compressed or not, in either byte order."""
    photometric, bits, coded, loss = KINDS[kind]
    rgb = smooth(data.draw(st.integers(0, 999)))
    if bits == 8:  # Their steps are large in saturated and dark colours.
        rgb = rgb // 2 + 64
    path = tmp_path_factory.mktemp("colours") / "a.tif"
    write(
        path,
        coded(rgb, bits),
        photometric,
        planar=data.draw(st.booleans(), "planar"),
        compression=data.draw(st.sampled_from([None, "zlib"]), "compression"),
        byteorder=data.draw(st.sampled_from("<>"), "byteorder"),
        extratags=[NOT_SUBSAMPLED] if photometric == 6 else [],
    )
    assert_reads(path, rgb, loss)


def test_planes_of_8_bit_lab_read_as_its_pixels(tmp_path: Path) -> None:
    values = cie_lab(smooth(1), 8)
    write(tmp_path / "pixels.tif", values, 8)
    write(tmp_path / "planes.tif", values, 8, planar=True)
    assert_reads(tmp_path / "planes.tif", read_image(tmp_path / "pixels.tif").rgb, 1)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ycbcr_of_other_coefficients_and_ranges(tmp_path: Path, compression: str | None) -> None:
    """Rec. 709 in the coding range of video."""
    rgb, luma = smooth(2), (0.2126, 0.7152, 0.0722)
    shares = (2126, 10000, 7152, 10000, 722, 10000)
    coded = ycbcr(rgb, 16, luma).astype(float)
    low, high = (4096, 4096, 4096), (60160, 61440, 61440)
    middle, span = (0, 32768, 32768), (65535, 32767, 32767)
    start = np.array((low[0], 32768, 32768))
    values = (coded - middle) / span * (np.array(high) - start) + start
    ranges = [n for pair in zip(start, high, strict=True) for top in pair for n in (int(top), 1)]
    extra = [NOT_SUBSAMPLED, (529, "2I", 3, shares, True), (532, "2I", 6, ranges, True)]
    write(
        tmp_path / "a.tif",
        np.rint(values).astype(np.uint16),
        6,
        compression=compression,
        extratags=extra,
    )
    assert_reads(tmp_path / "a.tif", rgb, 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_white_is_zero(tmp_path: Path, dtype: str) -> None:
    """At every depth; an opacity beside it is none of its colours."""
    grey = smooth(3)[..., 0]
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    values = ((255 - grey) / 255 * full).astype(dtype)
    shown = np.repeat(grey[..., None], 3, 2)
    write(tmp_path / "a.tif", values, 0)
    assert_reads(tmp_path / "a.tif", shown, 1)
    opaque = np.full_like(values, full)
    write(tmp_path / "b.tif", np.dstack((values, opaque)), 0, extrasamples=["unassalpha"])
    assert (assert_reads(tmp_path / "b.tif", shown, 1).alpha == 255).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("photometric", [1, 2, 5])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_an_opacity_beside_any_colours(
    tmp_path: Path, dtype: str, photometric: int, kind: str
) -> None:
    """Premultiplied or not, it reads alike, whichever extra sample it is."""
    rgb = smooth(4)
    mode = {1: "L", 2: "RGB", 5: "CMYK"}[photometric]
    coded = np.asarray(Image.fromarray(rgb).convert(mode)).reshape(*rgb.shape[:2], -1)
    alpha = np.broadcast_to(np.array((64, 128, 192, 255), np.uint8).repeat(5), rgb.shape[:2])
    shown = np.asarray(Image.fromarray(coded.squeeze(), mode).convert("RGB")).astype(float)
    over = shown * (alpha / 255)[..., None] + 255 - alpha[..., None]
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    share = (alpha / 255)[..., None] if kind == "assocalpha" else 1
    pixels = np.dstack((coded / 255 * share, np.full(alpha.shape, 0.5), alpha / 255)) * full
    pixels = pixels if dtype == "float32" else np.rint(pixels)
    write(
        tmp_path / "a.tif",
        pixels.astype(dtype),
        photometric,
        extrasamples=["unspecified", kind],
        planar=True,
    )
    read = assert_reads(tmp_path / "a.tif", over, 3)
    assert read.alpha is not None
    assert np.abs(read.alpha - alpha.astype(float)).max() <= 1


def test_signed_values_of_8_bits(tmp_path: Path) -> None:
    """Up to 127 is light; Pillow takes them for unsigned ones."""
    values = np.arange(-120, 120, dtype=np.int8).reshape(12, 20)
    write(tmp_path / "a.tif", values, 1)
    assert_reads(tmp_path / "a.tif", np.repeat(values.clip(0)[..., None] / 127 * 255, 3, 2), 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes(tmp_path: Path, bits: int) -> None:
    """Of 8 and 16 bits, with entries of 16 bits, and of 8 bits as some programs write them."""
    rgb = smooth(5)
    colours, index = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)
    values = index.reshape(rgb.shape[:2]).astype(f"u{bits // 8}")
    for unit in (257, 1):
        entries = np.zeros((3, 2**bits), np.uint16)
        entries[:, : len(colours)] = colours.T.astype(np.uint16) * unit
        table = (320, "H", entries.size, tuple(map(int, entries.ravel())), True)
        write(tmp_path / "a.tif", values, 3, extratags=[table])
        assert_reads(tmp_path / "a.tif", rgb, 1)


GREY, RGB = smooth(6)[..., 0], smooth(6)
CMYK = np.asarray(Image.fromarray(RGB).convert("CMYK"))
_UNREAD: list[tuple[str, np.ndarray, int | None, dict[str, Any], str]] = [
    ("mask", GREY, 4, {}, "a mask"),
    ("ITU Lab", icc_lab(RGB, 8), 10, {}, "ITU Lab"),
    ("LogL", GREY.astype(np.uint16), 32844, {}, "LogL"),
    ("LogLuv", RGB.astype(np.uint16), 32845, {}, "LogLuv"),
    ("unknown", RGB, 7, {}, "PhotometricInterpretation 7"),
    ("unsaid", GREY, None, {}, "does not say what its values mean"),
    ("floats in CIE Lab", lab_of(RGB).astype(np.float32), 8, {}, "Lab of others than"),
    ("32 bits in CIE Lab", RGB.astype(np.uint32), 8, {}, "Lab of others than"),
    ("signed ICC Lab", RGB.astype(np.int16), 9, {}, "Lab of others than"),
    ("floats in YCbCr", (RGB / 255).astype(np.float32), 6, {}, "others than unsigned"),
    ("subsampled YCbCr", RGB, 6, {}, "subsampled chroma"),
    ("other inks", CMYK, 5, {"extratags": [(332, "H", 1, 2, True)]}, "inks are others"),
    (
        "premultiplied Lab",
        np.dstack((icc_lab(RGB, 8), GREY)),
        9,
        {"extrasamples": ["assocalpha"]},
        "multiplied by an opacity",
    ),
    ("sensor", GREY, 32803, {}, "raw files are not read"),
]


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("values", "photometric", "options", "says"),
    [case[1:] for case in _UNREAD],
    ids=[case[0] for case in _UNREAD],
)
def test_colours_that_are_refused(
    values: np.ndarray,
    photometric: int | None,
    options: dict[str, Any],
    says: str,
    planar: bool,
    tmp_path: Path,
) -> None:
    if photometric == 6:
        options = {"extratags": [NOT_SUBSAMPLED] if values.dtype == np.float32 else [], **options}
    write(tmp_path / "a.tif", values, photometric, planar=planar and values.ndim == 3, **options)
    with pytest.raises(UserError, match=rf"a\.tif.*{says}"):
        read_image(tmp_path / "a.tif")


def test_a_thumbnail_does_not_speak_for_the_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RGB[:4, :4], photometric="rgb", subfiletype=1, metadata=None)
        writer.write(icc_lab(RGB, 16), photometric="rgb", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[1].tags[PHOTOMETRIC].overwrite(9)  # type: ignore[union-attr]
    assert_reads(tmp_path / "a.tif", RGB, 1)


READ_WITHOUT_CODECS = """
import sys
from pathlib import Path
import numpy as np
sys.modules["imagecodecs"] = None
from chimle.errors import UserError
from chimle.images.decode import read_image
for name in sys.argv[1:]:
    try:
        np.save(name + ".npy", read_image(Path(name)).rgb)
    except UserError as error:
        assert "pip install 'chimle[tiff]'" in str(error), error
"""


def test_without_codecs_colours_are_right_or_the_package_is_named(tmp_path: Path) -> None:
    """Pillow stands in for what tifffile cannot decompress only where both read alike."""
    ramp = np.linspace(0, 2**16 - 1, 240).reshape(12, 20)
    deep, wide = ramp.astype(np.uint16), (ramp / 2).astype(np.int32)
    cases: dict[str, tuple[np.ndarray, dict[int, int]]] = {
        "grey of 16 bits": (deep, {}),
        "white is 0": (deep, {PHOTOMETRIC: 0}),
        "signed of 16 bits": (deep // 2, {SAMPLE_FORMAT: 2}),
        "signed of 32 bits": (wide, {}),
        "unsigned of 32 bits": (wide, {SAMPLE_FORMAT: 1}),
        "floats": ((ramp / 2**16).astype(np.float32), {}),
        "floats where white is 0": ((ramp / 2**16).astype(np.float32), {PHOTOMETRIC: 0}),
        "signed of 8 bits": (GREY, {SAMPLE_FORMAT: 2}),
        "grey": (GREY, {}),
    }
    paths = []
    for name, (values, tags) in cases.items():
        path = tmp_path / f"{name}.tif"
        Image.fromarray(values).save(path, compression="tiff_lzw", tiffinfo=tags)
        with tifffile.TiffFile(path, mode="r+") as file:
            for tag, value in tags.items():
                file.pages.first.tags[tag].overwrite(value)
        paths.append(path)
    subprocess.run([sys.executable, "-c", READ_WITHOUT_CODECS, *map(str, paths)], check=True)
    read = {path for path in paths if Path(f"{path}.npy").exists()}
    assert {path.stem for path in read} == {
        "grey of 16 bits",
        "signed of 32 bits",
        "floats",
        "grey",
    }
    pytest.importorskip("imagecodecs")
    for path in read:
        assert np.array_equal(np.load(f"{path}.npy"), read_image(path).rgb), path
