"""Metrics against known answers."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from chimle.metrics.evaluate import DO_NOTHING, evaluate_samples
from chimle.metrics.fidelity import frechet, kernel_distance, precision_recall, set_metrics
from chimle.metrics.pairwise import lpips_to_targets, pairwise_lpips, psnr
from chimle.perceptual import Perceptual, load_perceptual
from chimle.settings import PerceptualSettings, build_settings
from tests.projects import TINY

NAMES = ("frechet_x", "kernel_x", "x")


@pytest.fixture(scope="module")
def perceptual() -> Perceptual:
    with pytest.warns(UserWarning):
        return load_perceptual(PerceptualSettings(backbone="squeeze", allow_random=True))


def pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 32, 32, 3), dtype=np.uint8)


def test_frechet_of_gaussians_has_its_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(20000, 3, generator=generator) * torch.tensor([1.0, 2.0, 3.0])
    second = torch.randn(20000, 3, generator=generator) * torch.tensor([2.0, 2.0, 1.0]) + 1
    expected = 3 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2
    assert frechet(first, second) == pytest.approx(expected, rel=0.03)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_separates_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    cloud, twin = torch.randn(2, 200, 4, generator=generator).unbind()
    assert abs(kernel_distance(cloud, twin)) < 0.1
    assert kernel_distance(cloud, twin + 2) > 1


def test_precision_and_recall_of_constructed_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(100, 2, generator=generator) * 0.1
    right = left + 100
    assert precision_recall(left, left) == (1, 1)
    assert precision_recall(left, right) == (0, 0)
    precision, recall = precision_recall(left[:50], torch.cat((left[50:], right[:50])))
    assert precision > 0.9 and 0.3 < recall < 0.6


def test_too_few_pictures_have_no_set_metrics() -> None:
    assert set_metrics(torch.rand(4, 2, 3), torch.rand(4, 3), NAMES) == {}
    found = set_metrics(torch.rand(6, 2, 3), torch.rand(6, 3), NAMES)
    assert sorted(found) == ["frechet_x", "kernel_x", "precision_x", "recall_x"]


def test_psnr_agrees_with_scikit_image() -> None:
    first, second = pictures(2), pictures(2, seed=1)
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(psnr(first, second), expected, rtol=1e-6)
    assert math.isfinite(psnr(first, first)[0])


def test_distances_and_diversity(perceptual: Perceptual) -> None:
    targets = pictures(2)
    samples = np.stack([targets, targets, pictures(2, seed=1)], axis=1)
    distances = lpips_to_targets(samples, targets, perceptual)
    assert distances.shape == (2, 3)
    assert np.abs(distances[:, :2]).max() < 1e-6 < distances[:, 2].min()
    np.testing.assert_allclose(
        pairwise_lpips(samples, perceptual), distances[:, 2] * 2 / 3, rtol=1e-4
    )


@pytest.mark.parametrize("task", ["colourization", "decompression", "super_resolution"])
def test_all_numbers_are_finite_and_independent_of_batch_size(
    perceptual: Perceptual, task: str
) -> None:
    side = 2 if task == "super_resolution" else 32
    samples, targets = pictures(6, 3), pictures(6, seed=1)
    inputs = np.random.default_rng(2).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    results = []
    for batch_size in (1, 7):
        preset = {**TINY, "evaluate": {"samples": 3, "batch_size": batch_size}}
        chosen = build_settings({"task": task, "preset": "demo", **preset}, "test")
        results.append(evaluate_samples(samples, targets, inputs, chosen, perceptual))
    assert results[0] == pytest.approx(results[1], rel=1e-4, abs=1e-5)
    assert all(isinstance(v, float) and math.isfinite(v) for v in results[0].values())
    assert "lpips_squeeze_random_best_of_3" in results[0]
    assert DO_NOTHING + "psnr" in results[0] and "fid" not in results[0]
