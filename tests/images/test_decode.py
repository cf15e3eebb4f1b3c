"""Good exotic files are read correctly; bad ones give one sentence."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from chimle.errors import UserError
from chimle.images.decode import read_image, read_rgb, write_png

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
RAMP = np.linspace(0, 65535, 54, dtype=np.uint16).reshape(6, 9)


def test_png_round_trip_is_byte_identical(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RGB)
    write_png(tmp_path / "b.png", read_rgb(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey(tmp_path: Path, ending: str) -> None:
    Image.fromarray(RAMP).save(tmp_path / f"deep.{ending}")
    read = read_rgb(tmp_path / f"deep.{ending}")
    assert np.abs(read[..., 0].astype(float) - RAMP / 257).max() <= 1
    assert (read == read[..., :1]).all()


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    red = read_rgb(tmp_path / "red.jpg").reshape(-1, 3).mean(axis=0)
    assert red[0] > 200
    assert red[1] < 60
    assert red[2] < 60


def test_palette_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(RGB).quantize(16).save(tmp_path / "palette.png")
    assert read_rgb(tmp_path / "palette.png").shape == RGB.shape
    Image.fromarray(RGB).convert("1").save(tmp_path / "bit.png")
    assert set(np.unique(read_rgb(tmp_path / "bit.png"))) <= {0, 255}


def test_alpha_lies_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_rgb(tmp_path / "clear.png") == 255).all()
    Image.new("LA", (4, 4), (0, 255)).save(tmp_path / "black.png")
    assert (read_rgb(tmp_path / "black.png") == 0).all()


def test_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_rgb(tmp_path / "turned.png"), np.rot90(RGB, -1))


def test_one_pixel(tmp_path: Path) -> None:
    write_png(tmp_path / "dot.png", RGB[:1, :1])
    assert read_rgb(tmp_path / "dot.png").shape == (1, 1, 3)


def test_bad_files_are_named(tmp_path: Path) -> None:
    Image.fromarray(RGB.repeat(40, 0).repeat(40, 1)).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    bad = {"cut.png": content[: len(content) // 2], "empty.png": b"", "text.png": b"no image"}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name} is damaged or no image.*replace"):
            read_rgb(tmp_path / name)
    with pytest.raises(UserError, match=r"nowhere\.png does not exist"):
        read_rgb(tmp_path / "nowhere.png")


def test_16_bit_colour(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    assert np.array_equal(read_rgb(tmp_path / "deep.tif"), RGB)
    page = np.concatenate([deep, np.full((6, 9, 1), 32896, np.uint16)], axis=2)
    tifffile.imwrite(tmp_path / "clear.tif", page, photometric="rgb", extrasamples=["unassalpha"])
    read = read_image(tmp_path / "clear.tif")
    assert read.alpha is not None
    assert (read.alpha == 128).all()
    (tmp_path / "cut.tif").write_bytes((tmp_path / "deep.tif").read_bytes()[:200])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, before it gives up
        with pytest.raises(UserError, match="is damaged or no image"):
            read_rgb(tmp_path / "cut.tif")


def test_an_embedded_profile_is_applied(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RGB).save(tmp_path / "same.png", icc_profile=lab)
    assert np.abs(read_rgb(tmp_path / "same.png").astype(int) - RGB).max() <= 1
    Image.fromarray(RGB).save(tmp_path / "odd.png", icc_profile=b"no profile at all")
    assert np.array_equal(read_rgb(tmp_path / "odd.png"), RGB)


def test_transparency_and_exif_survive(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "a camera"
    image = Image.fromarray(np.dstack((RGB, RGB[..., 0])))
    image.save(tmp_path / "a.png", exif=exif)
    read = read_image(tmp_path / "a.png")
    assert read.alpha is not None
    assert np.array_equal(read.alpha, np.rot90(RGB[..., 0], -1))
    write_png(tmp_path / "b.png", read.rgb, read.alpha, read.exif)
    kept = Image.open(tmp_path / "b.png")
    assert kept.mode == "RGBA"
    assert dict(kept.getexif()) == {0x0110: "a camera"}


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_rgb(tmp_path / "a.gif") == (255, 0, 0)).all()
