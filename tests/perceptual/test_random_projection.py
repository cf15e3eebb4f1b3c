"""Projected distances are about the exact ones, whatever the scales."""

import pytest
import torch

from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.perceptual.random_projection import RandomProjection
from chimle.settings.perceptual import PerceptualSettings


@pytest.fixture(scope="module")
def perceptual() -> Perceptual:
    return load_perceptual(PerceptualSettings(weights="random"))


@pytest.mark.parametrize("scales", [(1,), (2,), (1, 2), (1, 2, 3)])
@pytest.mark.parametrize("side", [16, 48])
def test_a_projection_has_the_mean_over_scales(
    perceptual: Perceptual, scales: tuple[int, ...], side: int
) -> None:
    """Small images are enlarged in any case: several scales are then one."""
    exact = perceptual.at_scales(*scales)
    near = RandomProjection(exact, 2000)
    images = torch.rand(6, 3, side, side, generator=torch.Generator().manual_seed(side))
    targets = images[:1] / 2
    wanted = exact.distance(images, exact.features(targets))
    found = near.distance(images, near.features(targets))
    assert float((found / wanted).mean()) == pytest.approx(1, abs=0.1)


def test_few_dimensions_leave_no_layer_out(perceptual: Perceptual) -> None:
    near = RandomProjection(perceptual.at_scales(1, 2, 3), 16)
    image = torch.rand(1, 3, 48, 48)
    assert all(feature.shape[1] == 1 for feature in near.features(image))
    assert float(near.distance(image, near.features(image / 2))) > 0
