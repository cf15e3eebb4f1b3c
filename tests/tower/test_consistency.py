"""Agreement with the input: exact, differentiable, the same in bands and inside the tower."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.images.colour import GAMUT_SLACK, MOST_CHROMA, chroma_share, lightness
from chimle.images.pyramid import reduce, to_tensor, to_uint8
from chimle.tower.consistency import (
    BISECTIONS,
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
    assert bool((rgb == rgb.clamp(0, 1)).all())
    assert float((rounded - light).abs().mean()) * 100 <= 0.15
    assert float(rounded[..., 0].max()) * 100 < 1


def linear_light(lab: np.ndarray) -> np.ndarray:
    """(..., 3) float64 Lab to linear light: CIE 15, with the matrix of sRGB's primaries."""
    lightness, a, b = np.moveaxis(lab, -1, 0)
    fy = (lightness + 16) / 116
    f = np.stack((fy + a / 500, fy, fy - b / 200), axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.95047, 1, 1.08883]
    to_xyz = [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
    return np.asarray(xyz @ np.linalg.inv(to_xyz).T)


@pytest.mark.parametrize("most", [30.0, 140.0, 1e4])
def test_chroma_shrinks_to_the_border_of_the_gamut_and_no_farther(most: float) -> None:
    random = np.random.default_rng(0)
    light = torch.from_numpy(random.uniform(0, 100, (1, 1, 64, 64))).float()
    ab = torch.from_numpy(random.uniform(-most, most, (1, 2, 64, 64))).float()
    share = chroma_share(light, ab, BISECTIONS)

    def excess(share: torch.Tensor) -> np.ndarray:
        """How far linear light leaves [0, 1]."""
        lab = torch.cat((light, share * ab), dim=1).movedim(1, -1).double().numpy()
        linear = linear_light(lab)
        return np.asarray(np.maximum(linear - 1, -linear).max(axis=-1))

    assert excess(share).max() < GAMUT_SLACK + 1e-5
    tolerance = MOST_CHROMA / 2**BISECTIONS / ab.norm(dim=1, keepdim=True)
    farther = excess(share + 1.01 * tolerance) > -1e-5
    inside = (share == 1).squeeze(1).numpy()
    assert (farther | inside).all()
    assert 0.02 < inside.mean() < 0.9 or most > 1000
