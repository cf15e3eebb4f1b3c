"""Methods on the problem whose answers are known: the same time, pairs and questions for each."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    judge_modes,
    known_pairs,
    known_settings,
)
from chimle.baselines.methods import Method, adapt
from chimle.baselines.run_method import train_method
from chimle.settings.comparison import KnownModesSettings

UNSEEN = 2**20
"""Added to a seed for the inputs that answers are drawn for, so that no run was trained on them."""


def meet_known_modes(
    method: Method, seed: int, layout: Layout, settings: KnownModesSettings, state_file: Path
) -> dict[str, Any]:
    """Train a method on one layout of the modes and judge its answers to unseen inputs.

    Args:
        method: which.
        seed: of pairs, weights and answers.
        layout: where the targets of an input differ.
        settings: sizes and time.
        state_file: a killed run goes on from it.

    Returns:
        The fields of `Found`, with `seconds`, `steps` and `parameters` of the training.
    """
    own = adapt(known_settings(), method, seed)
    pairs = known_pairs(layout, settings.pairs, seed)
    device = torch.device("cpu")  # Pictures of 16 pixels keep no other device busy.
    entrant = train_method(
        method, own, pairs, PixelDistance(), state_file, device, settings.seconds
    )
    unseen = known_pairs(layout, settings.inputs, seed + UNSEEN)
    inputs = [pair.input for pair in unseen]
    answers = entrant.answers(inputs, [pair.id for pair in unseen], settings.samples, seed)
    return {
        **asdict(judge_modes(answers, inputs, layout)),
        "seconds": round(entrant.seconds, 1),
        "steps": entrant.steps,
        "parameters": entrant.parameters,
    }
