"""A PIL image is taken for its JPEG file while it holds what the file decodes to, and no longer."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import chimle
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.jpeg import quality_tables
from chimle.inference.model import Model
from chimle.inference.opened_jpeg import pixels_and_code
from chimle.inference.sample_names import mixture_of
from tests.support.jpeg import jpeg_file, smooth
from tests.support.projects import tiny_bundle

QUALITY = 10
CHANGES: dict[str, Callable[[Image.Image], object]] = {
    "thumbnail": lambda image: image.thumbnail((24, 24)),
    "drawing": lambda image: ImageDraw.Draw(image).line((0, 0, 40, 30), (255, 0, 0)),
    "paste": lambda image: image.paste((0, 90, 0), (8, 8, 20, 20)),
    "one pixel": lambda image: image.putpixel((5, 5), (255, 255, 255)),
    "draft": lambda image: image.draft("RGB", (24, 20)),
    "grey draft": lambda image: image.draft("L", image.size),
}


def written(path: Path, orientation: int = 1) -> Path:
    """A JPEG file of 48x40 pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.write_bytes(jpeg_file(smooth(1, 40, 48), quality=QUALITY, exif=exif))
    return path


def as_stream(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


OPENERS = pytest.mark.parametrize("opener", [Image.open, as_stream], ids=["path", "stream"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return chimle.load(tiny_bundle(tmp_path_factory.mktemp("bundle") / "b", "decompression"))


@OPENERS
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_image_is_no_longer_its_file(
    model: Model, tmp_path: Path, opener: Callable[[Path], Image.Image], name: str
) -> None:
    path = written(tmp_path / "photo.jpg")
    image = opener(path)
    CHANGES[name](image)
    found = model.sample(image, n=1, seed=3)[0]
    # What an image without a file gets.
    wanted = model.sample(np.array(image.convert("RGB")), n=1, seed=3)[0]
    assert np.array_equal(np.asarray(found), wanted)
    assert pixels_and_code(image)[1] is None


@OPENERS
def test_an_image_changed_after_its_samples_is_no_longer_its_file(
    tmp_path: Path, opener: Callable[[Path], Image.Image]
) -> None:
    image = opener(written(tmp_path / "photo.jpg"))
    assert pixels_and_code(image)[1] is not None
    image.putpixel((5, 5), (255, 255, 255))
    rgb, code = pixels_and_code(image)
    assert rgb[5, 5].tolist() == [255, 255, 255]
    assert code is None


@OPENERS
def test_an_opened_image_agrees_with_its_file_however_often_it_is_sampled(
    model: Model, tmp_path: Path, opener: Callable[[Path], Image.Image]
) -> None:
    path = written(tmp_path / "photo.jpg")
    rgb = np.array(Image.open(path).convert("RGB"))
    code = model.file_code(path, rgb)
    assert code is not None
    (wanted,) = model.draw(rgb, [mixture_of(model.name("0"))], 3, code)
    assert not np.array_equal(wanted, model.sample(rgb, n=1, seed=3)[0]), "the file says more"
    image = opener(path)
    for _ in range(2):
        assert np.array_equal(np.asarray(model.sample(image, n=1, seed=3)[0]), wanted)
    loaded = Image.open(path)
    loaded.load()
    assert np.array_equal(np.asarray(model.sample(loaded, n=1, seed=3)[0]), wanted)


@OPENERS
def test_a_turned_image_has_its_file_s_code_whoever_turns_it(
    tmp_path: Path, opener: Callable[[Path], Image.Image]
) -> None:
    path = written(tmp_path / "turned.jpg", orientation=6)
    turned = Image.open(path)
    ImageOps.exif_transpose(turned, in_place=True)
    for image in (opener(path), turned):
        rgb, code = pixels_and_code(image)
        assert np.array_equal(rgb, read_rgb(path))
        assert code is not None
        assert code.orientation == 6
        assert np.array_equal(code.tables, quality_tables(QUALITY))


def test_what_has_no_jpeg_file_has_no_code(tmp_path: Path) -> None:
    path = written(tmp_path / "photo.jpg")
    image = Image.open(path)
    image.save(tmp_path / "photo.png")
    assert pixels_and_code(image.copy())[1] is None
    assert pixels_and_code(Image.open(tmp_path / "photo.png"))[1] is None
    assert pixels_and_code(np.asarray(image))[1] is None
    gone = Image.open(path)
    gone.load()
    path.unlink()
    assert pixels_and_code(gone)[1] is None


def test_an_image_whose_stream_is_closed_is_one_sentence(model: Model, tmp_path: Path) -> None:
    with written(tmp_path / "photo.jpg").open("rb") as stream:
        image = Image.open(stream)
    with pytest.raises(UserError, match="the image cannot be read"):
        model.sample(image, n=1)
