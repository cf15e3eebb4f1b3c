"""Spectrum, sliced Wasserstein distance and JPEG coefficients against plain implementations."""

import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter

from chimle.images.degrade import jpeg
from chimle.metrics import sliced_wasserstein as module
from chimle.metrics.agreement import black_errors
from chimle.metrics.jpeg_coefficients import quantisation, share_within
from chimle.metrics.registry import features_of
from chimle.metrics.sliced_wasserstein import SlicedWasserstein, directions
from chimle.metrics.spectrum import Spectrum
from chimle.tasks import get_task


def smooth(count: int, radius: float, side: int = 64, seed: int = 0) -> np.ndarray:
    """(count, side, side, 3) uint8: noise, blurred."""
    noise = np.random.default_rng(seed).normal(size=(count, side, side, 3))
    blurred = gaussian_filter(noise, (0, radius, radius, 0))
    scaled: np.ndarray = np.clip(blurred / blurred.std() * 50 + 128, 0, 255)
    return scaled.astype(np.uint8)


def spectrum_of(samples: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The spectrum's metrics of one sample per input."""
    spectrum = Spectrum()
    for sample, target in zip(samples, targets, strict=True):
        spectrum.add(sample[None], target)
    return {name: float(value[0]) for name, value in spectrum.metrics()}


def plain_spectrum(samples: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Frequency by frequency, by the definition of the discrete Fourier transform."""
    side = samples.shape[1]
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / (side - 1)) for n in range(side)])
    waves = np.exp(-2j * np.pi * np.outer(np.arange(side), np.arange(side)) / side)

    def power(images: np.ndarray) -> np.ndarray:
        total = np.zeros((side, side))
        for image in images.astype(float):
            grey = 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
            total += abs(waves @ ((grey - grey.mean()) * hann[:, None] * hann) @ waves) ** 2
        return total

    own, real, found = power(samples), power(targets), []
    for row in range(side):
        for column in range(side):
            y, x = min(row, side - row), min(column, side - column)
            if 1 <= math.hypot(y, x) < side / 2:
                found.append(10 * math.log10(own[row, column] / real[row, column]))
    return float(np.mean(np.abs(found))), max(found)


def test_spectrum_has_its_definition() -> None:
    # No frequency of these has less power than rounding.
    samples, targets = smooth(5, 0.5, side=20, seed=1), smooth(5, 0.7, side=20, seed=2)
    found = spectrum_of(samples, targets)
    mean, excess = plain_spectrum(samples, targets)
    assert found["spectrum"] == pytest.approx(mean, rel=1e-9)
    assert found["spectrum_excess"] == pytest.approx(excess, rel=1e-9)


def test_spectrum_finds_hatching_at_its_frequency() -> None:
    targets = smooth(20, 1.5, seed=1)
    hatched = targets.astype(int) + 8 * (np.indices((64, 64)).sum(axis=0) % 4 < 2)[..., None]
    found = spectrum_of(hatched.clip(0, 255).astype(np.uint8), targets)
    assert found["spectrum_excess"] > 10
    # Hatching has few frequencies: the mean hardly sees it.
    assert found["spectrum"] < 3
    assert spectrum_of(targets, targets) == {"spectrum": 0, "spectrum_excess": 0}


@pytest.mark.parametrize("deviation", [0.0, 0.5, 60.0])
def test_a_set_and_the_set_repeated_have_one_spectrum(deviation: float) -> None:
    """Flat images too, whose power is below that of rounding."""
    generator = np.random.default_rng(0)
    samples, targets = (
        (128 + spread * generator.standard_normal((3, 32, 32, 3))).clip(0, 255).astype(np.uint8)
        for spread in (20.0, deviation)
    )
    found = spectrum_of(samples, targets)
    for times in (2, 7):
        again = spectrum_of(np.tile(samples, (times, 1, 1, 1)), np.tile(targets, (times, 1, 1, 1)))
        assert again == pytest.approx(found, rel=1e-9)
    assert spectrum_of(samples[::-1], targets[::-1]) == pytest.approx(found, rel=1e-9)


def test_spectrum_of_constant_images_is_finite_and_sizes_do_not_mix() -> None:
    flat = np.full((3, 16, 16, 3), 7, np.uint8)
    assert spectrum_of(flat, flat) == {"spectrum": 0, "spectrum_excess": 0}
    spectrum = Spectrum()
    for side in (16, 20):
        image = smooth(1, 1.0, side=side)
        spectrum.add(image, image[0])
    assert dict(spectrum.metrics()) == {}


def plain_bands(images: np.ndarray) -> list[torch.Tensor]:
    """Laplacian pyramid by torch's own functions."""
    image = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    bands = []
    for _ in range(2):
        small = F.avg_pool2d(image, 2)
        bands.append(image - F.interpolate(small, scale_factor=2, mode="bilinear"))
        image = small
    return [*bands, image]


def plain_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """Sliced Wasserstein distance of two bands, direction by direction."""
    points = [F.unfold(band, 7, stride=3).mT.reshape(-1, 147) for band in (first, second)]
    gaps = []
    for direction in torch.from_numpy(directions(147)):
        own, real = (np.sort((side @ direction).numpy()) for side in points)
        gaps.append(np.abs(own - real).mean())
    return 1000 * float(np.mean(gaps)) / float(points[1].std(correction=0))


def patches_of(samples: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Sliced Wasserstein distances of one sample per input."""
    own = SlicedWasserstein()
    for number, (sample, target) in enumerate(zip(samples, targets, strict=True)):
        own.add(str(number), sample[None], target)
    return {name: float(value[0]) for name, value in own.metrics()}


def test_sliced_wasserstein_has_its_definition() -> None:
    samples, targets = smooth(6, 1.0, seed=1), smooth(6, 1.5, seed=2)
    found = patches_of(samples, targets)
    bands = zip(plain_bands(samples), plain_bands(targets), strict=True)
    expected = [plain_distance(first, second) for first, second in bands]
    assert list(found.values()) == pytest.approx(expected, rel=2e-3)
    assert list(found) == [f"sliced_wasserstein_{name}" for name in ("fine", "middle", "coarse")]


def test_sliced_wasserstein_ranks_blur_and_is_zero_for_equal_sets() -> None:
    targets = smooth(6, 1.0, seed=1)
    found = [patches_of(smooth(6, radius, seed=2), targets) for radius in (1.1, 1.5, 3.0)]
    fine = [values["sliced_wasserstein_fine"] for values in found]
    assert fine == sorted(fine)
    assert set(patches_of(targets, targets).values()) == {0}


def test_patches_are_chosen_by_id_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, targets = smooth(8, 1.0, seed=1), smooth(8, 1.5, seed=2)
    whole = patches_of(samples, targets)
    monkeypatch.setattr(module, "MOST_PATCHES", 300)
    results = []
    for order in (range(8), range(7, -1, -1)):
        own = SlicedWasserstein()
        for number in order:
            own.add(str(number), samples[number][None], targets[number])
        results.append({name: float(value[0]) for name, value in own.metrics()})
    assert results[0] == results[1]
    assert results[0] != whole
    assert results[0] == pytest.approx(whole, rel=0.35)


def test_images_below_the_coarsest_patch_have_no_distance() -> None:
    assert patches_of(smooth(2, 1.0, side=27), smooth(2, 1.0, side=27)) == {}
    assert len(patches_of(smooth(2, 1.0, side=30), smooth(2, 1.0, side=30))) == 3


@pytest.mark.parametrize(("quality", "least"), [(1, 0.999), (10, 0.997), (50, 0.99)])
def test_a_jpeg_agrees_with_its_origin_and_with_itself(quality: int, least: float) -> None:
    image = smooth(1, 4.0, side=75)[0, :, :61]
    given, steps = jpeg(image, quality), quantisation(quality)
    origin, itself, other = share_within(
        np.stack([image, given, smooth(1, 4.0, side=75, seed=1)[0, :, :61]]), given, steps
    )
    assert itself == 1
    assert origin > least
    assert other < origin


def test_quantisation_is_the_encoders() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="JPEG", quality=30)
    with Image.open(buffer) as file:
        tables: dict[int, list[int]] = file.quantization  # type: ignore[attr-defined]
    steps = quantisation(30)
    assert steps.luminance.ravel().tolist() == tables[0]
    assert steps.chrominance.ravel().tolist() == tables[1]
    assert steps.subsampling == (2, 2)


def test_black_pixels_are_those_of_the_input() -> None:
    task, given = get_task("colourization"), np.full((4, 4, 3), 120, np.uint8)
    given[:2] = 2
    sample = given.copy()
    sample[0] = (0, 90, 90)
    errors = black_errors(sample[None], given, task)
    assert errors.shape == (8,)
    assert (errors[:4] > 20).all()
    assert (errors[4:] == 0).all()
    assert black_errors(sample[None], given, get_task("decompression")).size == 0


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("lpips_squeeze_x2_best_of_10", "squeeze_x2"),
        ("input_baseline_frechet_vgg_random_x2", "vgg_random_x2"),
        ("diversity_lpips_alex", "alex"),
        ("precision_inception_low", "inception"),
        ("kid_deviation", "inception"),
        ("spectrum", None),
        ("sliced_wasserstein_fine", None),
        ("psnr", None),
    ],
)
def test_a_name_tells_the_features(name: str, features: str | None) -> None:
    assert features_of(name) == features
