"""Run methods on the problem of known modes: equal time, pairs and test inputs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
    mode_coverage,
)
from chimle.baselines.methods import Method, adapt
from chimle.baselines.run_method import train_method
from chimle.inference.sampling import stacked_samples
from chimle.settings.comparison import KnownModesSettings

UNSEEN = 2**20
"""Added to a seed for the test inputs, which differ from all training inputs."""

BATCH_SIZE = 128
"""Samples of one pass through a network."""


def run_on_known_modes(
    method: Method, seed: int, layout: Layout, settings: KnownModesSettings, state_file: Path
) -> dict[str, Any]:
    """Train a method on one layout of the modes and count the modes of its samples.

    Args:
        method: which.
        seed: of pairs, weights and samples.
        layout: where the targets of an input differ.
        settings: sizes and time.
        state_file: a killed run goes on from it.

    Returns:
        The fields of `ModeCoverage`, with `seconds`, `steps` and `parameters` of the training.
    """
    own = adapt(known_settings(), method, seed, settings.pairs)
    pairs = known_pairs(layout, settings.pairs, seed)
    device = torch.device("cpu")  # Images of 16 pixels are fastest on a CPU.
    trained = train_method(
        method, own, pairs, PixelDistance(), state_file, device, settings.seconds
    )
    unseen = known_pairs(layout, settings.inputs, seed + UNSEEN)
    inputs = [pair.input for pair in unseen]
    drawn = trained.sample_pairs(unseen, settings.samples, seed, BATCH_SIZE)
    samples = stacked_samples(drawn)
    return {
        **asdict(mode_coverage(samples, inputs, layout)),
        "seconds": round(trained.seconds, 1),
        "steps": trained.steps,
        "parameters": trained.parameters,
    }
