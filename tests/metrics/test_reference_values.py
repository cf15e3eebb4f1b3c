"""Metrics against values known by construction or from other programs."""

import itertools
import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from chimle.images.degrade import degrade
from chimle.metrics.agreement import agreement
from chimle.metrics.diversity import faithful_variance, ntire_diversity, pairwise
from chimle.metrics.feature_records import lpips_features
from chimle.metrics.fid_kid import frechet, kernel_distance, set_distances
from chimle.metrics.full_reference import best_of, psnr, ssim
from chimle.metrics.prdc import prdc, set_shares
from chimle.metrics.prediction import Prediction
from chimle.perceptual.lpips import Perceptual
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.settings.pair import PairSettings
from chimle.tasks import get_task
from tests.support.predictions import noise_images


class Images(torch.utils.data.Dataset[torch.Tensor]):
    """(N, 3, H, W) uint8 as torch-fidelity reads them."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> torch.Tensor:
        return self.images[place]


def clouds(count: int, features: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, count, features, generator=generator).unbind()
    return first, second * 1.5 + 0.3


def test_frechet_of_gaussians_has_its_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(20000, 3, generator=generator) * torch.tensor([1.0, 2.0, 3.0])
    second = torch.randn(20000, 3, generator=generator) * torch.tensor([2.0, 2.0, 1.0]) + 1
    expected = 3 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2
    assert frechet(first, second) == pytest.approx(expected, rel=0.03)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("count", "features"), [(21, 64), (200, 8)])
def test_distances_of_sets_are_torch_fidelitys(count: int, features: int) -> None:
    """Its whole path from images to numbers, and ours from the same features."""
    import_torchvision()
    import torch_fidelity
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Projection(FeatureExtractorBase):  # type: ignore[misc]
        """Features of 8-bit images by a fixed random projection."""

        def __init__(self, name: str, features_list: list[str], **_: object) -> None:
            super().__init__(name, features_list)
            generator = torch.Generator().manual_seed(0)
            self.matrix = torch.randn(3 * 4 * 4, features, generator=generator)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("own",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            del metric  # One layer serves all.
            return "own"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor]:
            return (batch.flatten(1).float() / 255 @ self.matrix,)

    generator = np.random.default_rng(0)
    first = generator.integers(0, 200, (count, 3, 4, 4), dtype=np.uint8)
    second = generator.integers(50, 256, (count, 3, 4, 4), dtype=np.uint8)
    name = f"projection-{features}"
    torch_fidelity.register_feature_extractor(name, Projection)
    found = torch_fidelity.calculate_metrics(
        input1=Images(first),
        input2=Images(second),
        feature_extractor=name,
        feature_layer_fid="own",
        feature_layer_kid="own",
        feature_layer_prc="own",
        fid=True,
        kid=True,
        prc=True,
        kid_subsets=1,
        kid_subset_size=count,
        cuda=False,
        verbose=False,
        cache=False,
        save_cpu_ram=True,  # and no worker processes, which have no place beside other tests
        batch_size=7,
    )
    network = Projection(name, ["own"])
    own, real = (network(torch.from_numpy(p))[0] for p in (first, second))
    shares = set_shares(own[:, None], real, "x")
    assert frechet(own, real) == pytest.approx(found["frechet_inception_distance"], rel=1e-5)
    kernel = found["kernel_inception_distance_mean"]
    assert kernel_distance(own, real) == pytest.approx(kernel, rel=1e-5)
    assert shares["precision_x"].mean() == pytest.approx(found["precision"], abs=1e-6)
    assert shares["recall_x"].mean() == pytest.approx(found["recall"], abs=1e-6)


def test_kernel_distance_separates_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    cloud, twin = torch.randn(2, 200, 4, generator=generator).unbind()
    assert abs(kernel_distance(cloud, twin)) < 0.1
    assert kernel_distance(cloud, twin + 2) > 1


def test_precision_and_recall_of_constructed_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(100, 2, generator=generator) * 0.1
    right = left + 100
    same, apart = prdc(left, left), prdc(left, right)
    assert float(same["precision"].mean()) == float(same["recall"].mean()) == 1
    assert float(apart["precision"].mean()) == float(apart["recall"].mean()) == 0
    half = prdc(left[:50], torch.cat((left[50:], right[:50])))
    assert half["precision"].mean() > 0.9
    assert 0.3 < half["recall"].mean() < 0.6


def test_density_and_coverage_of_constructed_clouds() -> None:
    """On a line of integers the balls of k = 5 are known: three to five steps wide."""
    line = torch.arange(100.0)[:, None]
    same = prdc(line, line)
    # Inside, the fifth neighbour is 3 away, so 7 balls hold every point: 7 / 5.
    assert float(same["density"][50]) == 7 / 5
    assert float(same["coverage"].mean()) == 1
    apart = prdc(line + 1000, line)
    assert float(apart["density"].mean()) == float(apart["coverage"].mean()) == 0
    # All samples in one place: crowded there, and only the 7 targets around it are covered.
    heap = prdc(torch.full((100, 1), 50.0), line)
    assert float(heap["density"].mean()) == 7 / 5
    assert float(heap["coverage"].mean()) == 7 / 100


def test_density_and_coverage_of_equal_clouds_are_as_expected() -> None:
    """Naeem et al.: the expectation for two sets of one law, whatever that law is."""
    count, k = 400, 5
    first, second = torch.randn(2, count, 8, generator=torch.Generator().manual_seed(0)).unbind()
    found = prdc(first, second)
    chance = math.prod((count - i) / (2 * count - i) for i in range(1, k + 1))
    assert float(found["coverage"].mean()) == pytest.approx(1 - chance, abs=0.03)
    assert float(found["density"].mean()) == pytest.approx(1, abs=0.15)


def test_sets_are_averaged_over() -> None:
    first, second = clouds(20, 4)
    both = torch.stack((first, second), dim=1)
    found = set_distances(both, first, ("frechet_x", "kernel_x"))
    assert found["frechet_x"].shape == (2,)
    assert found["frechet_x"][0] == pytest.approx(0, abs=1e-6)
    shares = set_shares(both, first, "x")
    alone = prdc(second, first)["density"].numpy()
    expected = (prdc(first, first)["density"].numpy() + alone) / 2
    np.testing.assert_allclose(shares["density_x"], expected)


def test_psnr_and_ssim_agree_with_scikit_image() -> None:
    first, second = noise_images(2), noise_images(2, seed=1)
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(psnr(first, second), expected, rtol=1e-6)
    assert psnr(first, first)[0] == pytest.approx(58.92, abs=0.01)
    other = [
        structural_similarity(
            a,
            second[0],
            channel_axis=2,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a in first
    ]
    np.testing.assert_allclose(ssim(first, second[0]), other)
    assert ssim(first, first[0])[0] == pytest.approx(1)


def test_best_of_k_is_the_mean_over_all_choices() -> None:
    distances = np.random.default_rng(0).random((3, 6))
    curve = best_of(distances)
    for row, values in zip(distances, curve, strict=True):
        for k in range(1, 7):
            expected = np.mean([min(chosen) for chosen in itertools.combinations(row, k)])
            assert values[k - 1] == pytest.approx(expected)
    np.testing.assert_allclose(curve[:, 0], distances.mean(axis=1))
    np.testing.assert_allclose(curve[:, -1], distances.min(axis=1))
    np.testing.assert_allclose(best_of(distances[:, ::-1]), curve)


def test_faithful_variance_has_its_formula() -> None:
    to_target, to_mean = np.array([0.0, 0.2]), np.array([0.1, 0.3])
    expected = (0.1**2 + math.exp(-0.5) * 0.3**2) / 2
    assert faithful_variance(to_target, to_mean, 0.2) == pytest.approx(expected)
    assert faithful_variance(to_target, to_mean, 1e6) == pytest.approx(0.05)
    assert faithful_variance(to_target + 10, to_mean, 0.1) == 0


def test_one_pass_says_what_the_package_says(perceptual: Perceptual) -> None:
    """Distances to the target and by place are those of `lpips`, with the same features."""
    import_torchvision()
    import lpips

    target, samples = noise_images(1)[0], noise_images(3, seed=1)
    record = lpips_features(Prediction("a", samples, target), perceptual, 16, None)
    package = lpips.LPIPS(net="squeeze", pnet_rand=True, spatial=True, verbose=False).eval()
    package.net.load_state_dict(perceptual.backbone.state_dict())
    images = torch.from_numpy(np.stack([*samples, target])).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        places = package(images[:3], images[3:].expand(3, -1, -1, -1))[:, 0]
    package.spatial = False
    with torch.no_grad():
        distances = package(images[:3], images[3:].expand(3, -1, -1, -1)).flatten()
        apart = package(images[:1], images[1:2]).item()
        middle = package(images[:3], images[:3].mean(dim=0, keepdim=True)).flatten()
    np.testing.assert_allclose(record["to_target"], distances, rtol=1e-4)
    np.testing.assert_allclose(record["between"][0, 1], apart, rtol=1e-4)
    np.testing.assert_allclose(record["to_mean"], middle, rtol=1e-4)
    np.testing.assert_allclose(record["best"], places.mean(dim=(1, 2)).min(), rtol=1e-4)
    np.testing.assert_allclose(record["best_per_pixel"], places.min(dim=0)[0].mean(), rtol=1e-4)


def test_diversity_of_equal_samples_is_none(perceptual: Perceptual) -> None:
    samples = np.repeat(noise_images(1), 3, axis=0)
    record = lpips_features(
        Prediction("a", samples, noise_images(1, seed=1)[0]), perceptual, 16, None
    )
    assert pairwise(record["between"]) == 0
    best, per_pixel = float(record["best"]), float(record["best_per_pixel"])
    assert ntire_diversity(best, per_pixel) == pytest.approx(0, abs=1e-4)
    assert ntire_diversity(0, 0) == 0
    assert ntire_diversity(0.2, 0.1) == 50


@pytest.mark.parametrize(
    ("task", "expected"),
    [("colourization", 0.5), ("decompression", 40), ("super_resolution", 58.92)],
)
def test_a_target_agrees_with_its_own_input(task: str, expected: float) -> None:
    definition, settings = get_task(task), PairSettings()
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    target = coarse.repeat(8, axis=0).repeat(8, axis=1)
    given, _ = degrade(target, definition, settings, 0)
    (*_, (_, mine)) = agreement(target[None], given, definition, settings).items()
    (*_, (name, other)) = agreement(noise_images(1), given, definition, settings).items()
    if task == "colourization":
        assert name == "agreement_lightness"
        assert mine < expected < other
    else:
        assert name == "agreement_psnr"
        assert mine >= expected > other
    assert agreement(target[None], target, get_task("night_to_day"), settings) == {}
