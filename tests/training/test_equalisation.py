"""A finished model's filter: fitted to its training pairs, kept with it, no part of training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from chimle.baselines.known_modes.mode_problem import known_settings
from chimle.bundles.bundle import load_bundle, save_bundle
from chimle.bundles.start_weights import start_weights
from chimle.data.dataset import Pair
from chimle.errors import UserError
from chimle.inference.sampling import sample_pairs, stacked_samples
from chimle.metrics.spectrum import decibels, frequencies, power
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.tasks import Wiring, get_task
from chimle.tower.equaliser import no_equaliser
from chimle.training.equalisation import filter_of, fit_equaliser, smoothed
from tests.search.test_hierarchical import small_tower
from tests.training.finished_run import finished_run


def textured_pairs(contrast: float, count: int = 48, side: int = 32) -> list[Pair]:
    """Targets of smooth noise, smoother along rows than along columns, and inputs without any."""
    draws = np.random.default_rng(0).normal(size=(count, side, side, 3))
    frequencies = np.abs(np.fft.fftfreq(side))
    gain = 1 / (0.05 + frequencies[:, None] + 4 * frequencies[None])
    noise = np.fft.ifft2(np.fft.fft2(draws, axes=(1, 2)) * gain[..., None], axes=(1, 2)).real
    targets = np.clip(128 + contrast * noise, 0, 255).astype(np.uint8)
    inputs = np.clip(128 + 2 * noise, 0, 255).astype(np.uint8)
    return [Pair(f"{i:03}", *both) for i, both in enumerate(zip(inputs, targets, strict=True))]


def differences(share: float | None, pairs: list[Pair]) -> np.ndarray:
    """Decibels that samples have more than targets, at high frequencies."""
    task, tower = get_task("night_to_day"), small_tower(Wiring.GENERIC)
    if share is not None:
        fit_equaliser(tower, task, pairs, share)
    samples = stacked_samples(sample_pairs(tower, task, pairs, 2, seed=5))
    targets = np.stack([pair.target for pair in pairs])
    found = power(samples.reshape(-1, *samples.shape[2:])).sum(axis=0) / 2
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(targets.shape[1])] * 2))
    fine = radius[frequencies(targets.shape[1:3])] > 0.25
    ratios = decibels(found, power(targets).sum(axis=0), len(pairs))
    return np.asarray(ratios[fine])


def test_an_excess_goes_and_a_lack_is_filled_by_its_share() -> None:
    faint = textured_pairs(contrast=4)
    before, damped = (np.maximum(differences(share, faint), 0).mean() for share in (None, 0.0))
    assert before > 2
    assert damped < 0.4 * before
    strong = textured_pairs(contrast=16)
    lacking, left, half, whole = (
        np.maximum(-differences(share, strong), 0).mean() for share in (None, 0.0, 0.5, 1.0)
    )
    assert lacking > 2
    assert left == pytest.approx(lacking, rel=0.1)
    assert half == pytest.approx(lacking / 2, rel=0.35)
    assert whole < 0.35 * lacking


def test_equal_spectra_need_no_filter() -> None:
    kernel = filter_of(np.zeros((32, 32)), 15)
    np.testing.assert_allclose(kernel, no_equaliser(32).numpy(), atol=1e-12)


def test_a_filter_is_symmetric_keeps_the_mean_and_has_the_gains_it_is_made_for() -> None:
    waves = np.cos(2 * np.pi * np.fft.fftfreq(64))
    gains = 0.5 * (waves[:, None] + 0.5 * waves[None] - 1.5)
    kernel = filter_of(gains, 31)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-15)
    assert kernel.sum() == pytest.approx(1)
    padded = np.zeros((64, 64))
    padded[:31, :31] = kernel
    found = np.abs(np.fft.fft2(np.roll(padded, (-15, -15), (0, 1))))
    np.testing.assert_allclose(np.log(found), gains, atol=0.05)


def test_smoothing_keeps_a_mean_and_lowers_a_peak() -> None:
    values = np.zeros((16, 16))
    values[3, 5] = 1
    found = smoothed(values)
    assert found.sum() == pytest.approx(1)
    assert 0.2 < found.max() < 0.9
    assert found.argmax() == values.argmax()


def test_the_model_has_the_filter_and_the_state_has_not(tmp_path: Path) -> None:
    plain = finished_run(tmp_path / "plain", noise_strength=1.5, equaliser=None).run().tower
    run = finished_run(tmp_path / "filtered", noise_strength=1.5, equaliser=0.5)
    tower = run.run().tower
    again = finished_run(tmp_path / "filtered", noise_strength=1.5, equaliser=0.5).run().tower
    assert plain.equaliser is None
    assert tower.equaliser is not None
    assert again.equaliser is not None
    assert torch.equal(tower.equaliser, again.equaliser)
    kept = run.state.average.module.state_dict()
    assert "equaliser" not in kept
    learnt = {name: value for name, value in tower.state_dict().items() if name != "equaliser"}
    assert learnt.keys() == plain.state_dict().keys()
    assert all(torch.equal(learnt[name], value) for name, value in plain.state_dict().items())

    save_bundle(tmp_path / "model", tower, run.settings, {})
    bundle = load_bundle(tmp_path / "model")
    assert bundle.tower.equaliser is not None
    assert torch.equal(bundle.tower.equaliser, tower.equaliser)
    started = start_weights(bundle, run.settings)
    assert "equaliser" not in started.state
    assert bundle.tower.equaliser is not None, "the bundle itself keeps its filter"


@pytest.mark.parametrize("wanted", [True, False])
def test_the_filter_is_fitted_as_deterministically_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    during: list[bool] = []
    monkeypatch.setattr(
        "chimle.training.imle_trainer.fit_equaliser",
        lambda *_: during.append(torch.are_deterministic_algorithms_enabled()),
    )
    run = finished_run(tmp_path, equaliser=0.5, deterministic=wanted)
    run.device = torch.device("cuda")  # On a CPU there is nothing to ask for.
    run.finished()
    assert during == [wanted]
    assert not torch.are_deterministic_algorithms_enabled()


def test_colourization_has_no_use_for_it() -> None:
    values = known_settings().model_dump(mode="json")
    values["task"] = "colourization"
    values["train"]["equaliser"] = 0.5
    with pytest.raises(UserError, match="is for images whose lightness a model makes"):
        build_settings(ModelSettings, values, "a test")
