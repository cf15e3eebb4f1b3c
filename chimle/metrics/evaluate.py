"""All metrics of one task: of a model's samples, and of doing nothing at all."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from chimle.errors import UserError
from chimle.images.pyramid import enlarge, to_tensor
from chimle.metrics.consistency import consistency
from chimle.metrics.fidelity import inception_features, set_metrics
from chimle.metrics.pairwise import lpips_to_targets, pairwise_lpips, psnr
from chimle.perceptual import Perceptual
from chimle.settings import RunSettings

DO_NOTHING = "do_nothing_"
"""Prefix of the same metric for the input itself, shown as it is or enlarged."""


def do_nothing(inputs: Sequence[np.ndarray], size: int) -> np.ndarray:
    """The inputs (h, w, 3) as answers (N, size, size, 3): as they are, or enlarged."""
    return np.stack([enlarge(picture, (size, size)) for picture in inputs])


@torch.no_grad()
def _embeddings(pictures: np.ndarray, perceptual: Perceptual, batch_size: int) -> torch.Tensor:
    """(N, S, H, W, 3) uint8 to (N, S, D)."""
    flat = pictures.reshape(-1, *pictures.shape[2:])
    device = next(perceptual.buffers()).device
    parts = [
        perceptual.embedding(to_tensor(list(flat[start : start + batch_size])).to(device)).cpu()
        for start in range(0, len(flat), batch_size)
    ]
    return torch.cat(parts).unflatten(0, pictures.shape[:2])


def _inception(pictures: np.ndarray, weights: str) -> torch.Tensor:
    flat = pictures.reshape(-1, *pictures.shape[2:])
    return inception_features(flat, weights).unflatten(0, pictures.shape[:2])


def _answers(
    answers: np.ndarray,
    targets: np.ndarray,
    inputs: np.ndarray,
    settings: RunSettings,
    perceptual: Perceptual,
) -> dict[str, float]:
    """Metrics of S answers per input."""
    name, options = perceptual.info.name, settings.evaluate
    count = answers.shape[1]
    distances = lpips_to_targets(answers, targets, perceptual)
    metrics = {f"lpips_{name}": float(distances.mean())}
    if count > 1:
        metrics[f"lpips_{name}_best_of_{count}"] = float(distances.min(axis=1).mean())
        metrics[f"diversity_lpips_{name}"] = float(pairwise_lpips(answers, perceptual).mean())
    columns = [psnr(answers[:, i], targets).mean() for i in range(count)]
    metrics["psnr"] = float(np.mean(columns))
    metrics |= consistency(answers, inputs, settings.definition, settings.pair)
    own = _embeddings(answers, perceptual, options.batch_size)
    real = _embeddings(targets[:, None], perceptual, options.batch_size)[:, 0]
    metrics |= set_metrics(own, real, (f"frechet_{name}", f"kernel_{name}", name))
    if options.inception:
        own, real = (_inception(p, options.inception) for p in (answers, targets[:, None]))
        metrics |= set_metrics(own, real[:, 0], ("fid", "kid", "inception"))
    return metrics


def evaluate_samples(
    samples: np.ndarray,
    targets: np.ndarray,
    inputs: np.ndarray,
    settings: RunSettings,
    perceptual: Perceptual,
) -> dict[str, float]:
    """Flat, finite metrics of (N, S, H, W, 3) samples and of the do-nothing answer.

    Args:
        samples: S samples for each of N inputs, uint8.
        targets: (N, H, W, 3) uint8.
        inputs: (N, h, w, 3) uint8.
        settings: of the task.
        perceptual: the distance to score with; its name stands in the metrics' names.

    Raises:
        UserError: a metric is not finite.
    """
    nothing = do_nothing(list(inputs), targets.shape[1])[:, None]
    metrics = _answers(samples, targets, inputs, settings, perceptual)
    for name, value in _answers(nothing, targets, inputs, settings, perceptual).items():
        metrics[DO_NOTHING + name] = value
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise UserError(
            f"task {settings.task}: metric `{broken[0]}` is not finite: look at samples"
        )
    return {name: float(f"{value:.6g}") for name, value in sorted(metrics.items())}
