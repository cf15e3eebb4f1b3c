"""Images of Python types as arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimle.images.decode import read_rgb
from chimle.inference.inputs import as_array

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


def test_a_palette_with_a_transparent_colour_is_shown_over_white(tmp_path: Path) -> None:
    file = tmp_path / "palette.png"
    Image.fromarray(COLOURS[..., :3]).quantize(8).save(file, transparency=3)
    with Image.open(file) as opened:
        np.testing.assert_array_equal(as_array(opened), read_rgb(file))
