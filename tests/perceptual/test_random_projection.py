"""Projected distances are about the exact ones, whatever the scales."""

import pytest
import torch

from chimle.baselines.known_modes.mode_problem import PixelDistance
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


def test_projections_keep_distances_on_average_and_are_fixed() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, 3, 8, 8, generator=generator)
    exact = PixelDistance()
    near = RandomProjection(exact, 400)
    target = images[:1]
    true = exact.distance(images, exact.features(target)) * 3  # Per pixel, not per number.
    found = near.distance(images, near.features(target))
    assert torch.allclose(
        found, RandomProjection(exact, 400).distance(images, near.features(target))
    )
    ratio = found[1:] / true[1:]
    assert abs(float(ratio.mean()) - 1) < 0.05
    assert float(ratio.std()) < 0.2
    assert float(found[0]) == pytest.approx(0, abs=1e-6)
