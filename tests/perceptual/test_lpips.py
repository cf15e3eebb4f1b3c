"""LPIPS equals the package's values, for any batching, and reports the origin of its weights."""

import copy

import pytest
import torch

from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.perceptual.weights import Backbone
from chimle.settings.perceptual import PerceptualSettings
from tests.support.helpers import SHARED, needs_shared

REAL = "weights/squeezenet1_1-features.safetensors"


def random_perceptual(backbone: Backbone = "squeeze") -> Perceptual:
    return load_perceptual(PerceptualSettings(backbone=backbone, weights="random"))


@pytest.mark.parametrize("backbone", ["squeeze", "alex", "vgg"])
def test_equals_the_lpips_package(backbone: Backbone) -> None:
    import_torchvision()
    import lpips

    ours = random_perceptual(backbone)
    package = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False).eval()
    package.net.load_state_dict(ours.backbone.state_dict())
    first, second = torch.rand(2, 3, 3, 48, 64).unbind()
    expected = package(first * 2 - 1, second * 2 - 1).flatten()
    torch.testing.assert_close(ours(first, second), expected, rtol=1e-5, atol=1e-6)


@needs_shared(REAL)
def test_published_check_value() -> None:
    """Published value of LPIPS-squeeze v0.1: 0.1008."""
    settings = PerceptualSettings(backbone="squeeze", weights=str(SHARED / REAL))
    perceptual = load_perceptual(settings)
    torch.manual_seed(123)
    first = torch.rand(10, 3, 100, 100)
    second = torch.rand(10, 3, 100, 100)
    assert float(perceptual(first, second).mean()) == pytest.approx(0.1008, abs=1e-4)
    assert perceptual.info.origin == "file"
    assert perceptual.info.name == "squeeze"


def test_candidates_of_one_target_equal_separate_rows() -> None:
    perceptual = random_perceptual()
    images, targets = torch.rand(6, 3, 8, 8), torch.rand(2, 3, 8, 8)
    together = perceptual.distance(images, perceptual.features(targets))
    for row in range(6):
        alone = perceptual(images[row : row + 1], targets[row // 3 : row // 3 + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-6)


def test_gradients_are_finite_on_constant_images() -> None:
    perceptual = random_perceptual()
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    perceptual(image, torch.rand(1, 3, 32, 32)).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_random_features_are_reproducible_and_keep_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = random_perceptual(), random_perceptual()
    assert torch.equal(before, torch.get_rng_state())
    assert first.info == second.info
    assert first.info.name == "squeeze_random"


@torch.no_grad()
def test_frozen_weights_are_cast_once_and_change_no_bit(perceptual: Perceptual) -> None:
    fresh, images = copy.deepcopy(perceptual), torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found = fresh.features(images)
        cast = dict(fresh._cast)
        again = fresh.features(images)
        expected = fresh._comparable(list(fresh.backbone(fresh.scaling(images * 2 - 1))))
    assert fresh._cast == cast
    assert all(map(torch.equal, found, expected))
    assert all(map(torch.equal, found, again))
    assert fresh.features(images)[0].dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in fresh.backbone.parameters())
