"""CHIMLE on a problem whose targets are known, and the count of the modes that samples cover.

Every grey input has several equally likely targets, of which its training pair shows one. CHIMLE's
samples must be all of them for every input; regression's lie between them, and so on none.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
    mode_coverage,
    targets,
)
from chimle.baselines.methods import adapt, get_method
from chimle.baselines.run_method import TrainedMethod
from chimle.data.dataset import Pair
from chimle.inference.sampling import stacked_samples
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer

PAIRS = 480


def inputs_of(layout: Layout, count: int = 6) -> list[np.ndarray]:
    return [pair.input for pair in known_pairs(layout, count, 99)]


@pytest.mark.parametrize("layout", list(Layout))
def test_samples_on_the_modes_cover_them(layout: Layout) -> None:
    inputs = inputs_of(layout)
    generator = np.random.default_rng(0)
    samples = []
    for image in inputs:
        every = targets(image, layout)
        samples.append(every[generator.integers(len(every), size=200)])
    found = mode_coverage(np.stack(samples), inputs, layout)
    assert found.modes == {"coarse": 3, "fine": 4, "both": 12}[layout]
    assert found.covered == 1
    assert found.off == 0
    assert found.frequency_error == pytest.approx(found.least_error, rel=0.35)


@pytest.mark.parametrize("layout", list(Layout))
def test_samples_at_the_mean_cover_none(layout: Layout) -> None:
    inputs = inputs_of(layout)
    means = [targets(image, layout).mean(axis=0).round().astype(np.uint8) for image in inputs]
    found = mode_coverage(np.stack(means)[:, None], inputs, layout)
    assert (found.covered, found.off, found.frequency_error) == (0, 1, 1)


def test_who_always_gives_one_mode_covers_one() -> None:
    inputs = inputs_of(Layout.BOTH)
    samples = np.stack([targets(image, Layout.BOTH)[:1].repeat(8, axis=0) for image in inputs])
    found = mode_coverage(samples, inputs, Layout.BOTH)
    assert found.covered == pytest.approx(1 / 12)
    assert found.frequency_error == pytest.approx(11 / 12)


def test_half_the_size_shows_the_coarse_modes_alone() -> None:
    every = targets(inputs_of(Layout.BOTH, 1)[0], Layout.BOTH).astype(float)
    halves = every.reshape(12, 8, 2, 8, 2, 3).mean(axis=(2, 4))
    tints = halves.reshape(3, 4, 8, 8, 3)
    assert np.abs(tints - tints[:, :1]).max() <= 1
    assert np.abs(tints[0] - tints[1]).mean() > 20


def test_training_pairs_show_every_mode_equally_often() -> None:
    shown = [
        next(
            i
            for i, mode in enumerate(targets(pair.input, Layout.BOTH))
            if (mode == pair.target).all()
        )
        for pair in known_pairs(Layout.BOTH, 24, 5)
    ]
    assert sorted(shown) == sorted(list(range(12)) * 2)


def trained(name: str, layout: Layout, tmp_path: Path) -> TrainedMethod:
    """A method after a fixed number of rounds, which is the same everywhere."""
    method, settings = get_method(name), known_settings()
    train = settings.train.model_copy(update={"rounds": 3, "images_per_round": 36})
    settings = adapt(settings.model_copy(update={"train": train}), method, 0, PAIRS)
    execution = Execution(tmp_path / "state.pt", torch.device("cpu"))
    trainer = ImleTrainer(settings, known_pairs(layout, PAIRS, 0), PixelDistance(), execution)
    return TrainedMethod(method, settings, trainer.run().tower, 0.0, 0)


def sampled(trained: TrainedMethod, inputs: list[np.ndarray], count: int) -> np.ndarray:
    pairs = [Pair(str(number), image, image) for number, image in enumerate(inputs)]
    return stacked_samples(trained.sample_pairs(pairs, count, 5))


def test_chimle_covers_every_mode_and_regression_none(tmp_path: Path) -> None:
    inputs = inputs_of(Layout.COARSE)
    own = sampled(trained("chimle", Layout.COARSE, tmp_path / "own"), inputs, 48)
    found = mode_coverage(own, inputs, Layout.COARSE)
    assert found.covered == 1, found
    other = sampled(trained("regression", Layout.COARSE, tmp_path / "other"), inputs, 4)
    assert (other == other[:, :1]).all()
    assert mode_coverage(other, inputs, Layout.COARSE).covered == 0
