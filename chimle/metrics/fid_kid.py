"""Frechet (FID) and kernel (KID) distances between sets of images.

Names say which features: `fid` and `kid` are over Inception features; over another network's they
are `frechet_<network>` and `kernel_<network>`.
"""

import numpy as np
import torch
from torch import Tensor

from chimle.metrics.metric import Group, Metric
from chimle.perceptual.torchvision_compat import import_torchvision

SUBSETS = 20
"""Random subsets that the kernel distance averages over, where the sets are larger than one."""
LARGEST_SUBSET = 1000
"""Images per subset; smaller sets are used whole, once."""

_FRECHET = (
    "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of means and covariances, mean over the S sets of "
    "one sample per input",
    "Heusel et al. 2017, arXiv 1706.08500",
)
_KERNEL = (
    "unbiased squared MMD with the kernel (x.y / D + 1)^3, mean over the S sets of one sample per "
    "input",
    "Binkowski et al. 2018, arXiv 1801.01401",
)

METRICS = (
    Metric(
        "fid",
        Group.SETS,
        "Frechet distance over Inception features",
        *_FRECHET,
        0,
        None,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "kid",
        Group.SETS,
        "kernel distance over Inception features",
        *_KERNEL,
        None,
        None,
        higher_is_better=False,
    ),
    Metric(
        "frechet_{features}",
        Group.SETS,
        "distance of the features' Gaussians (not an FID)",
        *_FRECHET,
        0,
        None,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "frechet_{features}_x2",
        Group.SETS,
        "the same of images enlarged twice",
        "as `frechet_{features}`, all images enlarged to twice their size, bilinear, before the "
        "backbone",
        "Heusel et al. 2017, arXiv 1706.08500",
        0,
        None,
        higher_is_better=False,
    ),
    Metric(
        "kernel_{features}",
        Group.SETS,
        "kernel distance of the features (not a KID)",
        *_KERNEL,
        None,
        None,
        higher_is_better=False,
    ),
)


def frechet(samples: Tensor, targets: Tensor) -> float:
    """Frechet distance of two Gaussians fitted to features (N, D) and (M, D).

    Where there are fewer images than features, the covariances' root is taken in the space of
    images: with centred features A and B, tr((C1 C2)^(1/2)) is the sum of the singular values of
    A B' over the root of (N - 1)(M - 1). The same number, from a matrix of N x M. Else it is
    torch-fidelity's arithmetic.
    """
    first, second = samples.cpu().double(), targets.cpu().double()
    if max(len(first), len(second)) > first.shape[1]:
        return _frechet_of_statistics(first, second)
    means = [features.mean(dim=0) for features in (first, second)]
    one, other = (
        (features - mean) / (len(features) - 1) ** 0.5
        for features, mean in zip((first, second), means, strict=True)
    )
    root = torch.linalg.svdvals(one @ other.T).sum()
    distance = (means[0] - means[1]).square().sum()
    # Rounding can make it negative.
    return max(float(distance + one.square().sum() + other.square().sum() - 2 * root), 0.0)


def _frechet_of_statistics(first: Tensor, second: Tensor) -> float:
    import_torchvision()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(features) for features in (first, second)]
    result = fid_statistics_to_metric(*statistics, verbose=False)
    return max(float(result["frechet_inception_distance"]), 0.0)


def kernel_distance(samples: Tensor, targets: Tensor) -> float:
    """Unbiased squared MMD with the cubic kernel of features (N, D) and (M, D), by torch-fidelity.

    Sets that fit into one subset are used whole, once.
    """
    import_torchvision()
    from torch_fidelity.metric_kid import kid_features_to_metric

    size = min(LARGEST_SUBSET, len(samples), len(targets))
    whole = size == max(len(samples), len(targets))
    result = kid_features_to_metric(
        samples.cpu().double(),
        targets.cpu().double(),
        kid_subsets=1 if whole else SUBSETS,
        kid_subset_size=size,
        verbose=False,
    )
    return float(result["kernel_inception_distance_mean"])


def set_frechet(samples: Tensor, targets: Tensor) -> np.ndarray:
    """Frechet distance (S,) of each set of one sample per input: (N, S, D) to (N, D)."""
    return np.array([frechet(one, targets) for one in samples.unbind(dim=1)])


def set_distances(
    samples: Tensor, targets: Tensor, names: tuple[str, str]
) -> dict[str, np.ndarray]:
    """Frechet and kernel distance of each set of one sample per input: (S,) each.

    Each set has as many images as there are inputs, so that samples and input baseline, which has
    one image per input, have the same small-sample bias.

    Args:
        samples: (N, S, D) features.
        targets: (N, D) features.
        names: of the two distances.
    """
    sets = samples.unbind(dim=1)
    values = ([measure(one, targets) for one in sets] for measure in (frechet, kernel_distance))
    return dict(zip(names, map(np.array, values), strict=True))
