"""Agreement with the input: exact, differentiable, the same in bands and inside the tower."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.images.colour import lightness
from chimle.images.pyramid import reduce, to_tensor, to_uint8
from chimle.tower.consistency import (
    agree_with_lightness,
    agree_with_reduction,
    agreeing,
    reduction_matrix,
)
from tests.support.jpeg import decibels, smooth


@pytest.mark.parametrize(("size", "reduced"), [(64, 4), (48, 3), (128, 8), (35, 7), (32, 32)])
def test_the_matrix_is_pillows_reduction(size: int, reduced: int) -> None:
    identity = Image.fromarray(np.eye(size, dtype=np.float32))
    theirs = np.asarray(identity.resize((size, reduced), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(reduction_matrix(size, reduced).numpy(), theirs, atol=1e-6)


@settings(max_examples=20)
@given(st.integers(1, 7), st.integers(1, 7), st.sampled_from([2, 4, 16]), st.integers(0, 99))
def test_a_reduced_image_is_the_input(height: int, width: int, factor: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(2, 3, height, width, generator=generator)
    images = torch.rand(6, 3, factor * height, factor * width, generator=generator)
    agreed = agree_with_reduction(images, inputs).double()
    rows, columns = (reduction_matrix(factor * side, side) for side in (height, width))
    found = rows @ agreed @ columns.T
    assert float((found - inputs.repeat_interleave(3, 0)).abs().max()) < 1e-5
    again = agree_with_reduction(agreed.float(), inputs)
    assert float((again - agreed).abs().max()) < 1e-5, "what agrees already does not move"


def test_rounded_to_8_bits_a_reduced_image_is_the_input() -> None:
    target, other = smooth(1, 64, 96), smooth(2, 64, 96)
    given_ = reduce(target, (4, 6))
    agreed = agreeing(lambda x: agree_with_reduction(x, to_tensor([given_])), to_tensor([other]))
    assert decibels(reduce(to_uint8(agreed)[0], (4, 6)), given_) > 50


def test_lightness_is_the_inputs_and_black_stays_black() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    light = lightness(to_tensor([np.repeat(grey, 8, axis=0)]))
    chroma = torch.rand(1, 2, 8, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rgb = agree_with_lightness(light, chroma.requires_grad_())
    (gradient,) = torch.autograd.grad(rgb.sum(), chroma)
    assert gradient.isfinite().all()
    assert float(gradient[..., 128:].abs().mean()) > 0.01, "chroma outside the gamut still learns"
    rounded = lightness(to_tensor(list(to_uint8(rgb))))
    assert float((rgb - rgb.clamp(0, 1)).abs().max()) == 0
    assert float((rounded - light).abs().mean()) * 100 <= 0.15
    assert float(rounded[..., 0].max()) * 100 < 1
