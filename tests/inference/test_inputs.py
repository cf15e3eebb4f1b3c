"""Images of Python types as arrays."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.pyramid import to_uint8
from chimle.inference.inputs import as_array, like
from tests.support.colour_profiles import exchanged_profile
from tests.support.jpeg import smooth

DEEP = np.random.default_rng(0).integers(0, 2**16, (12, 10)).astype(np.uint16)
COLOURS = np.random.default_rng(1).integers(0, 256, (12, 10, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("deep.png", Image.fromarray(DEEP)),
        ("deep.tif", Image.fromarray(DEEP.astype(np.int32))),
        ("float.tif", Image.fromarray((DEEP / 65535).astype(np.float32))),
        ("clear.png", Image.fromarray(COLOURS)),
        ("clear_grey.png", Image.fromarray(COLOURS).convert("LA")),
        ("grey.png", Image.fromarray(COLOURS).convert("L")),
        ("black.png", Image.fromarray(COLOURS).convert("1")),
    ],
)
def test_a_pil_image_of_any_mode_is_what_its_file_is(
    tmp_path: Path, name: str, image: Image.Image
) -> None:
    file = tmp_path / name
    image.save(file)
    with Image.open(file) as opened:
        np.testing.assert_array_equal(as_array(opened), read_rgb(file))


def photograph(path: Path, mode: str, orientation: int) -> Path:
    """A file of 24x16 pixels with an orientation and a colour profile."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(smooth(3, 16, 24)).convert(mode)
    image.save(path, exif=exif, icc_profile=exchanged_profile())
    return path


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.jpg", "RGB"),
        ("a.jpg", "L"),
        ("a.jpg", "CMYK"),
        ("a.png", "RGBA"),
        ("a.png", "P"),
        ("a.webp", "RGB"),
        ("a.tif", "RGB"),
        ("a.avif", "RGB"),
    ],
)
def test_orientation_and_profile_of_an_opened_image_count_as_of_its_file(
    tmp_path: Path, name: str, mode: str, orientation: int
) -> None:
    path = photograph(tmp_path / name, mode, orientation)
    wanted = read_rgb(path)
    assert wanted.shape[:2] == ((16, 24) if orientation == 1 else (24, 16))
    with Image.open(path) as opened:
        np.testing.assert_array_equal(as_array(opened), wanted)
        np.testing.assert_array_equal(as_array(opened), wanted, "and again")
        np.testing.assert_array_equal(as_array(opened.copy()), wanted)
        np.testing.assert_array_equal(as_array(ImageOps.exif_transpose(opened)), wanted)
    np.testing.assert_array_equal(as_array(Image.open(io.BytesIO(path.read_bytes()))), wanted)


def test_a_profile_that_was_applied_already_changes_nothing(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png", "RGB", 1)
    assert np.abs(read_rgb(path).astype(int) - np.asarray(Image.open(path))).max() > 20
    with Image.open(path) as opened:
        own = ImageCms.ImageCmsProfile(io.BytesIO(exchanged_profile()))
        applied = ImageCms.profileToProfile(opened, own, ImageCms.createProfile("sRGB"))
    assert applied is not None
    np.testing.assert_array_equal(as_array(applied), read_rgb(path))
    np.testing.assert_array_equal(as_array(Image.fromarray(COLOURS[..., :3])), COLOURS[..., :3])


def test_an_opened_image_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png", "RGB", 1)
    closed = Image.open(path)
    closed.close()
    content = path.read_bytes()
    for image in (closed, Image.open(io.BytesIO(content[: len(content) * 3 // 4]))):
        with pytest.raises(UserError, match=r"^the image cannot be read \(.+\): open another$"):
            as_array(image)


def deep_png(path: Path, values: np.ndarray, kind: int, clear: tuple[int, ...] = ()) -> None:
    """Write (H, W, C) 16-bit values; Pillow writes no deep colours and no deep opacity.

    Args:
        path: of the file.
        values: of grey, colours or opacity.
        kind: colour type of the format: 0 grey, 2 colours, 4 grey and 6 colours with opacity.
        clear: the transparent value, by channel.
    """
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if clear:
        parts.insert(1, (b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    content = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize(
    ("channels", "kind", "keyed"),
    [(1, 0, True), (3, 2, True), (2, 4, False), (4, 6, False)],
    ids=["grey value", "colour", "grey opacity", "opacity"],
)
def test_a_deep_transparent_image_is_shown_over_white(
    tmp_path: Path, channels: int, kind: int, keyed: bool
) -> None:
    values = np.random.default_rng(2).integers(0, 2**16, (12, 10, channels))
    values[4] = values[4, 0]
    if not keyed:
        values[4, :, -1] = 0
    deep_png(tmp_path / "a.png", values, kind, tuple(values[4, 0].tolist()) if keyed else ())
    with Image.open(tmp_path / "a.png") as opened:
        before = dict(opened.info)
        found = as_array(opened)
        assert opened.info == before, "the image is the user's"
        np.testing.assert_array_equal(as_array(opened), found)
    np.testing.assert_array_equal(found, read_rgb(tmp_path / "a.png"))
    assert (found[4] == 255).all()
    assert not (found == 255).all(axis=(1, 2))[[3, 5]].any()


def test_pil_images_of_modes_that_no_file_has_are_read(tmp_path: Path) -> None:
    rgba = Image.fromarray(COLOURS)
    for mode, plain in (("La", "LA"), ("RGBa", "RGBA")):
        multiplied = rgba.convert(plain).convert(mode)
        np.testing.assert_array_equal(as_array(multiplied), as_array(multiplied.convert(plain)))
    lab = Image.fromarray(COLOURS[..., :3]).convert("RGB")
    srgb, own = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(lab, srgb, own, outputMode="LAB")
    assert converted is not None
    converted.save(tmp_path / "lab.tif")
    np.testing.assert_array_equal(as_array(converted), read_rgb(tmp_path / "lab.tif"))


def test_a_palette_with_a_transparent_colour_is_shown_over_white(tmp_path: Path) -> None:
    file = tmp_path / "palette.png"
    Image.fromarray(COLOURS[..., :3]).quantize(8).save(file, transparency=3)
    with Image.open(file) as opened:
        np.testing.assert_array_equal(as_array(opened), read_rgb(file))


def with_value(value: float, kind: torch.dtype) -> torch.Tensor:
    """(3, 4, 5) in [0, 1] but for one value."""
    image = torch.linspace(0, 1, 60).view(3, 4, 5).to(kind)
    image[1, 2, 3] = value
    return image


@given(
    st.floats(width=16).filter(lambda value: not -0.01 <= value <= 1.01),
    st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_a_value_that_no_image_has_is_one_sentence(value: float, kind: torch.dtype) -> None:
    with pytest.raises(UserError, match=r"in \[0, 1\]|to \[0, 1\]") as caught:
        as_array(with_value(value, kind))
    assert "\n" not in str(caught.value)


@given(st.floats(-(2**-10), 1 + 2**-10, width=32))
def test_values_are_taken_that_differ_from_an_image_by_rounding(value: float) -> None:
    image = with_value(value, torch.float32)
    np.testing.assert_array_equal(as_array(image), to_uint8(image.unsqueeze(0))[0])


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_tensor_s_samples_are_on_its_device(device: str) -> None:
    made = like(torch.zeros(3, 4, 5, device=device, dtype=torch.bfloat16), COLOURS[..., :3])
    assert made.device.type == device
    assert made.dtype == torch.float32
    assert made.shape == (3, 12, 10)
