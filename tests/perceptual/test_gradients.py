"""The distance without weights: what it sees, and that it trains as any other."""

import pytest
import torch
from torch import Tensor

from chimle.errors import UserError
from chimle.perceptual.gradients import GradientDistance
from chimle.perceptual.lpips import Perceptual
from chimle.perceptual.training_distance import (
    described,
    load_training_distance,
    trained_features,
)
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.reading import build_settings


def images(seed: int, count: int = 2, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("side", [4, 8, 16, 30, 64])
def test_an_image_is_nearest_to_itself(side: int) -> None:
    distance = GradientDistance()
    own, other = images(0, side=side), images(1, side=side)
    assert distance.distance(own, distance.features(own)).tolist() == [0.0, 0.0]
    assert (distance.distance(other, distance.features(own)) > 0).all()


def test_candidates_are_compared_with_their_own_target() -> None:
    distance, targets, candidates = GradientDistance(), images(0), images(1, 6)
    together = distance.distance(candidates, distance.features(targets))
    for row, candidate in enumerate(candidates):
        target = targets[row // 3].unsqueeze(0)
        alone = distance.distance(candidate.unsqueeze(0), distance.features(target))
        torch.testing.assert_close(together[row], alone[0])


def test_detail_counts_wherever_it_lies() -> None:
    """Shifted texture is nearer to texture than no texture is."""
    distance = GradientDistance()
    waves = torch.sin(torch.arange(64) * torch.pi / 4)
    texture = (0.5 + 0.2 * waves * waves[:, None]).expand(1, 3, -1, -1)
    target = distance.features(texture)
    shifted = distance.distance(texture.roll((2, 2), (-2, -1)), target)
    flat = distance.distance(torch.full_like(texture, 0.5), target)
    assert shifted < flat


def test_gradients_are_finite_for_flat_images() -> None:
    distance, target = GradientDistance(), images(0)
    flat = torch.full_like(target, 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(
        distance.distance(flat, distance.features(target)).sum(), flat
    )
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_autocast_changes_nothing() -> None:
    distance, own, other = GradientDistance(), images(0), images(1)
    plain = distance.distance(other, distance.features(own))
    with torch.autocast("cpu", torch.bfloat16):
        cast = distance.distance(other, distance.features(own))
    assert torch.equal(plain, cast)


def test_the_settings_choose_what_training_minimises() -> None:
    gradients = PerceptualSettings(distance="gradients", weights="random")
    assert isinstance(load_training_distance(gradients), GradientDistance)
    assert described(GradientDistance()) == {"name": "gradients", "origin": "none"}
    assert trained_features(gradients, "squeeze_random") == ()
    lpips = PerceptualSettings(weights="random", scales=(1, 2))
    found = load_training_distance(lpips)
    assert isinstance(found, Perceptual)
    assert described(found)["name"] == "squeeze_random"
    assert trained_features(lpips, "squeeze_random") == ("squeeze_random", "squeeze_random_x2")


def test_scales_belong_to_a_backbone() -> None:
    with pytest.raises(UserError, match="scales"):
        build_settings(
            PerceptualSettings, {"distance": "gradients", "scales": [1, 2]}, "params.yaml"
        )
