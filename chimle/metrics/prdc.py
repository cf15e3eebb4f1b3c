"""Precision, recall, density and coverage (PRDC) of samples against targets, in feature space.

The neighbourhood of an image is the ball up to its k-th nearest neighbour in its own set. Every
metric is a mean over samples or targets, so it has one value per input.
"""

import numpy as np
import torch
from torch import Tensor

from chimle.metrics.metric import Group, Metric

NEIGHBOUR = 3
"""k of precision and recall, as in their paper."""
DENSITY_NEIGHBOUR = 5
"""k of density and coverage, as in their paper."""
FEWEST = DENSITY_NEIGHBOUR + 2
"""Images per set at least."""

METRICS = (
    Metric(
        "precision_{network}",
        Group.SETS,
        "share of samples near a target",
        "share of samples within a target's ball, k = 3, mean over the S sets",
        "Kynkaanniemi et al. 2019, arXiv 1904.06991",
        0,
        1,
        higher_is_better=True,
    ),
    Metric(
        "recall_{network}",
        Group.SETS,
        "share of targets near a sample",
        "share of targets within a sample's ball, k = 3, mean over the S sets",
        "Kynkaanniemi et al. 2019, arXiv 1904.06991",
        0,
        1,
        higher_is_better=True,
    ),
    Metric(
        "density_{network}",
        Group.SETS,
        "number of targets near each sample",
        "mean over samples of the number of targets' balls around it, over k = 5, mean over the S "
        "sets; about 1 for two equal sets",
        "Naeem et al. 2020, arXiv 2002.09797",
        0,
        None,
        higher_is_better=True,
    ),
    Metric(
        "coverage_{network}",
        Group.SETS,
        "share of targets whose neighbourhood holds a sample",
        "share of targets whose ball, k = 5, holds a sample, mean over the S sets",
        "Naeem et al. 2020, arXiv 2002.09797",
        0,
        1,
        higher_is_better=True,
    ),
)


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (N, M), exactly 0 between equal rows."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _radii(features: Tensor, neighbour: int) -> Tensor:
    """Distance of every row to its k-th nearest other row: (N,)."""
    return _distances(features, features).kthvalue(neighbour + 1).values


def prdc(samples: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Shares of precision and density per sample, of recall and coverage per target.

    Args:
        samples: (N, D) features.
        targets: (M, D) features; both at least `FEWEST`.

    Returns:
        `precision` and `density` (N,), `recall` and `coverage` (M,), float64. Their means are the
        metrics. A ball includes its surface.
    """
    first, second = samples.cpu().double(), targets.cpu().double()
    between = _distances(first, second)
    near = between <= _radii(second, DENSITY_NEIGHBOUR)
    return {
        "precision": (between <= _radii(second, NEIGHBOUR)).any(dim=1).double(),
        "recall": (_radii(first, NEIGHBOUR) >= between.T).any(dim=1).double(),
        "density": near.sum(dim=1).double() / DENSITY_NEIGHBOUR,
        "coverage": near.any(dim=0).double(),
    }


def set_shares(samples: Tensor, targets: Tensor, suffix: str) -> dict[str, np.ndarray]:
    """PRDC per input: mean over the S sets of one sample per input.

    Args:
        samples: (N, S, D) features.
        targets: (N, D) features.
        suffix: name of the network, which ends the metrics' names.

    Returns:
        (N,) each.
    """
    sets = [prdc(one, targets) for one in samples.unbind(dim=1)]
    return {
        f"{name}_{suffix}": torch.stack([found[name] for found in sets]).mean(dim=0).numpy()
        for name in sets[0]
    }
