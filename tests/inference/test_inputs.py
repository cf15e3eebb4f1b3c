"""Images of Python types as arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.pyramid import to_uint8
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
