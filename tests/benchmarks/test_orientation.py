"""Grain of a direction varies along it alone."""

import pytest
import torch

from benchmarks.orientation import ANGLES, CONTRAST, distances, grain
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings

NOISE = torch.randn((2, 1, 64, 64), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("wavelength", [8.0, 4.0])
def test_grain_varies_along_its_direction(wavelength: float) -> None:
    across = grain(NOISE, wavelength, 0)
    steps = [across.diff(dim=axis).square().mean() for axis in (-1, -2)]
    assert steps[0] > 5 * steps[1]
    down = grain(NOISE.mT, wavelength, 90)
    assert torch.allclose(down.mT, across, atol=1e-3)
    assert float(across.std()) == pytest.approx(1)


def test_a_distance_per_angle() -> None:
    perceptual = load_perceptual(PerceptualSettings(weights="random"))
    targets = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(2))
    found = distances(perceptual, targets, 5.0)
    assert len(found) == 1 + len(ANGLES)
    assert min(found) > 0 < CONTRAST
    assert len(set(found)) == len(found)
