"""LPIPS equals the package's values, for any batching, and reports the origin of its weights."""

import hashlib
from pathlib import Path

import pytest
import torch

from chimle.errors import UserError
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.settings.perceptual import PerceptualSettings
from tests.support.helpers import SHARED, needs_shared

REAL = "weights/squeezenet1_1-features.safetensors"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("chimle.perceptual.weights.OFFICIAL", _unreachable())


def _unreachable() -> dict[str, str]:
    names = {"vgg": "vgg16-397923af", "alex": "alexnet-owt-7be5be79", "squeeze": "s-b8a52dc0"}
    return {key: f"http://127.0.0.1:9/{name}.pth" for key, name in names.items()}


def random_perceptual(backbone: str = "squeeze") -> Perceptual:
    with pytest.warns(UserWarning, match="random features stand in"):
        return load_perceptual(PerceptualSettings(backbone=backbone, allow_random=True))


@pytest.mark.parametrize("backbone", ["squeeze", "alex", "vgg"])
def test_equals_the_lpips_package(backbone: str) -> None:
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


def test_missing_weights_are_an_error_unless_random_is_allowed() -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded.*perceptual\.weights"):
        load_perceptual(PerceptualSettings(backbone="squeeze"))


def test_errors_name_the_weight_file(tmp_path: Path) -> None:
    missing = PerceptualSettings(weights="nowhere.pth", allow_random=True)
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        load_perceptual(missing, root=tmp_path)
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="holds no readable weights"):
        load_perceptual(PerceptualSettings(weights="text.safetensors"), root=tmp_path)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="lacks"):
        load_perceptual(PerceptualSettings(weights="other.pth"), root=tmp_path)


def test_a_cached_file_must_match_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = random_perceptual()
    state = {f"features.{k.split('.', 1)[1]}": v for k, v in good.backbone.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    name = f"squeeze-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(
        "chimle.perceptual.weights.OFFICIAL", {"squeeze": f"http://127.0.0.1:9/{name}"}
    )
    cached = tmp_path / "torch" / "hub" / "checkpoints" / name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    assert load_perceptual(PerceptualSettings()).info.origin == "cache"
    cached.write_bytes(content[:-1])
    with pytest.raises(UserError, match="is damaged"):
        load_perceptual(PerceptualSettings())
