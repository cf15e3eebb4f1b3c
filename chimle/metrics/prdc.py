"""Do samples lie where targets lie, and the other way round? Over features extracted once.

A picture's surroundings are the ball that reaches to its k-th nearest neighbour in its own set.
Every number is a mean over samples or targets, given all balls, so it has a share per input.
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
"""Smaller sets have no such numbers."""

METRICS = (
    Metric(
        "precision_{network}",
        Group.SETS,
        "share of samples that look like targets",
        "share of samples within a target's ball, k = 3, mean over the S sets",
        "Kynkaanniemi et al. 2019, arXiv 1904.06991",
        0,
        1,
        higher_is_better=True,
    ),
    Metric(
        "recall_{network}",
        Group.SETS,
        "share of targets that a sample looks like",
        "share of targets within a sample's ball, k = 3, mean over the S sets",
        "Kynkaanniemi et al. 2019, arXiv 1904.06991",
        0,
        1,
        higher_is_better=True,
    ),
    Metric(
        "density_{network}",
        Group.SETS,
        "how crowded with targets the places of samples are",
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
        "share of targets with a sample nearby",
        "share of targets whose ball, k = 5, holds a sample, mean over the S sets",
        "Naeem et al. 2020, arXiv 2002.09797",
        0,
        1,
        higher_is_better=True,
    ),
)


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (N, M), exactly 0 between equal rows."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _reach(features: Tensor, neighbour: int) -> Tensor:
    """Distance of every row to its k-th nearest other row: (N,)."""
    return _apart(features, features).kthvalue(neighbour + 1).values


def prdc(samples: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Shares of precision and density per sample, of recall and coverage per target.

    Args:
        samples: (N, D) features.
        targets: (M, D) features; both at least `FEWEST`.

    Returns:
        `precision` and `density` (N,), `recall` and `coverage` (M,), float64. Their means are the
        metrics. The edge of a ball belongs to it.
    """
    first, second = samples.double().cpu(), targets.double().cpu()
    between = _apart(first, second)
    near = between <= _reach(second, DENSITY_NEIGHBOUR)
    return {
        "precision": (between <= _reach(second, NEIGHBOUR)).any(dim=1).double(),
        "recall": (_reach(first, NEIGHBOUR) >= between.T).any(dim=1).double(),
        "density": near.sum(dim=1).double() / DENSITY_NEIGHBOUR,
        "coverage": near.any(dim=0).double(),
    }


def set_shares(samples: Tensor, targets: Tensor, suffix: str) -> dict[str, np.ndarray]:
    """All four per input, each set of one sample per input on its own, mean over the S sets.

    Args:
        samples: (N, S, D) features.
        targets: (N, D) features.
        suffix: the network, which names end in.

    Returns:
        (N,) each.
    """
    sets = [prdc(one, targets) for one in samples.unbind(dim=1)]
    return {
        f"{name}_{suffix}": torch.stack([found[name] for found in sets]).mean(dim=0).numpy()
        for name in sets[0]
    }
