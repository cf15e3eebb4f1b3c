"""Images and predictions from noise."""

import numpy as np

from chimle.metrics.evaluator import EvaluationConfig, evaluate, flat_values
from chimle.metrics.prediction import Prediction


def noise_images(*shape: int, seed: int = 0, side: int = 32) -> np.ndarray:
    """(..., side, side, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (*shape, side, side, 3), dtype=np.uint8)


def noise_predictions(count: int = 8, samples: int = 3, input_side: int = 32) -> list[Prediction]:
    """Predictions whose samples, targets and inputs are noise."""
    targets, inputs = noise_images(count, seed=1), noise_images(count, seed=2, side=input_side)
    parts = zip(noise_images(count, samples), targets, inputs, strict=True)
    return [Prediction(f"image_{number}", *part) for number, part in enumerate(parts)]


def numbers(predictions: list[Prediction], config: EvaluationConfig) -> dict[str, float]:
    """All numbers of an evaluation, by name."""
    return flat_values(*evaluate(predictions, config))
