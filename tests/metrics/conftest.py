"""What tests of metrics share."""

from pathlib import Path

import pytest

from chimle.metrics.evaluator import EvaluationConfig
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from chimle.tasks import get_task
from tests.support.predictions import noise_predictions
from tests.support.scored import write


@pytest.fixture(scope="module")
def config() -> EvaluationConfig:
    perceptual = load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))
    return EvaluationConfig(perceptual, task=get_task("colourization"), resamples=200)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two inputs with three samples each, named NAME_0.png and so on."""
    write(tmp_path, noise_predictions(2), lambda name, number: f"{name}_{number}.png")
    return tmp_path
