"""A short training whose finished model differs from its state."""

from pathlib import Path
from typing import Any

import torch

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
)
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer


def finished_run(folder: Path, **train: Any) -> ImleTrainer:
    """A run of ten steps in a folder, with fields of `train`."""
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"rounds": 2, "images_per_round": 6, "steps_per_round": 5, **train}
    settings = build_settings(ModelSettings, values, "a test")
    folder.mkdir(exist_ok=True)
    execution = Execution(folder / "state.pt", torch.device("cpu"))
    return ImleTrainer(settings, known_pairs(Layout.COARSE, 12, 0), PixelDistance(), execution)
