"""Colour, pyramids and degradations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import color

from chimle.images.colour import chroma_to_rgb, lab_to_rgb, lightness, rgb_to_lab
from chimle.images.degrade import degrade
from chimle.images.pyramid import reduce, to_tensor, to_uint8
from chimle.settings.pair import PairSettings
from chimle.tasks import TASKS, Task


def image(seed: int = 0, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_lab_agrees_with_scikit_image() -> None:
    rgb = torch.rand(2, 3, 16, 16)
    expected = color.rgb2lab(rgb.permute(0, 2, 3, 1).numpy())
    mine = rgb_to_lab(rgb).permute(0, 2, 3, 1).numpy()
    assert np.abs(mine - expected).max() < 5e-3
    assert (lab_to_rgb(rgb_to_lab(rgb)) - rgb).abs().max() < 1e-4


def published_conversion(lab: torch.Tensor) -> torch.Tensor:
    """Lab to sRGB as published: the transformed Z and linear light are bounded below, no more."""
    lightness, a, b = lab.split(1, dim=1)
    fy = (lightness + 16) / 116
    f = torch.cat((fy + a / 500, fy, (fy - b / 200).clamp_min(0)), dim=1)
    xyz = torch.where(f > 6 / 29, f**3, (f - 16 / 116) / 7.787037)
    xyz = xyz * torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)
    matrix = torch.linalg.inv(
        torch.tensor(
            [
                [0.412453, 0.357580, 0.180423],
                [0.212671, 0.715160, 0.072169],
                [0.019334, 0.119193, 0.950227],
            ]
        )
    )
    linear = torch.einsum("oc,bchw->bohw", matrix, xyz).clamp_min(0)
    curved = 1.055 * linear.clamp_min(1e-6) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, 12.92 * linear)


def test_chroma_has_the_published_value_and_gentler_gradients_in_the_dark() -> None:
    generator = torch.Generator().manual_seed(0)
    light = torch.linspace(0, 1, 101).view(1, 1, 1, 101)
    chroma = (torch.rand(1, 2, 1, 101, generator=generator) * 2 - 1).requires_grad_()
    rgb = chroma_to_rgb(light, chroma)
    clamped = light.clamp_min(0.01)
    published = published_conversion(torch.cat((100 * clamped, 127 * chroma / clamped), dim=1))
    torch.testing.assert_close(rgb, published, atol=1e-4, rtol=1e-5)
    assert rgb.min() >= 0
    mine, theirs = (torch.autograd.grad(image.sum(), chroma)[0] for image in (rgb, published))
    assert mine.isfinite().all()
    assert theirs.abs().max() > 0
    # Divided by max(l, 0.1) where the published gradient divides by l.
    torch.testing.assert_close(mine, theirs * clamped / clamped.clamp_min(0.1))


def test_black_and_white_have_finite_gradients() -> None:
    for value in (0.0, 1.0):
        rgb = torch.full((1, 3, 2, 2), value, requires_grad=True)
        lab_to_rgb(rgb_to_lab(rgb)).sum().backward()
        assert rgb.grad is not None
        assert rgb.grad.isfinite().all()


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_bytes_survive_the_tensor(seed: int) -> None:
    whole = image(seed, 8)
    assert np.array_equal(to_uint8(to_tensor([whole]))[0], whole)


def test_reduction_is_antialiased_and_never_enlarges() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(reduce(stripes, (16, 16))[:, 2:-2]) <= 2
    with pytest.raises(ValueError, match="reduce"):
        reduce(stripes, (65, 64))


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_degradations_are_repeatable_and_of_the_right_size(task: Task) -> None:
    target = image()
    first, how = degrade(target, task, PairSettings(), seed=3)
    again, _ = degrade(target, task, PairSettings(), seed=3)
    assert np.array_equal(first, again)
    assert first.dtype == np.uint8
    assert first.shape == (64 // task.reduction, 64 // task.reduction, 3)
    assert how["kind"] == task.degradation
    assert not np.array_equal(first, target)


def test_grey_keeps_lightness_and_has_no_colour() -> None:
    target = image()
    grey, _ = degrade(target, TASKS["colourization"], PairSettings(), seed=0)
    assert (grey == grey[..., :1]).all()
    difference = lightness(to_tensor([grey])) - lightness(to_tensor([target]))
    assert difference.abs().max() < 0.005


def test_night_is_dark() -> None:
    target = np.full((64, 64, 3), 200, dtype=np.uint8)
    night, how = degrade(target, TASKS["night_to_day"], PairSettings(), seed=1)
    assert np.median(night) < 110
    assert how["rendered"] is True
