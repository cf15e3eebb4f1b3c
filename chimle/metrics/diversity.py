"""Diversity of an input's samples, unweighted and weighted by nearness to the target; per input.

The normalisation of the faithfulness-weighted variance was not checked against the text of its
paper. Here the weighted squares are averaged over the S samples, so that the
number does not grow with S, and not divided by the sum of weights, which would cancel
the weighting; times S it is the sum. Published tables may be normalised otherwise.
"""

import numpy as np

from chimle.metrics.metric import Group, Metric

SIGMAS = (0.1, 0.15, 0.2, 0.3)
"""Widths of the kernel that weights a sample by its distance to the target."""

METRICS = (
    Metric(
        "diversity_lpips_{features}",
        Group.VARIED,
        "perceptual distance between samples of one input",
        "mean over inputs of the mean of d(y_j, y_k) over the S (S - 1) / 2 pairs j < k",
        "Zhu et al. 2017, arXiv 1711.11586 (BicycleGAN)",
        0,
        None,
        higher_is_better=True,
        headline=True,
    ),
    Metric(
        "faithful_variance_{features}_sigma_{sigma}",
        Group.VARIED,
        "variance of samples, weighted by nearness to the target",
        "mean over inputs and j of w_j d(y_j, m)^2, w_j = exp(-d(y_j, y*)^2 / (2 sigma^2)), m the "
        "mean image of the samples",
        "Li et al. 2020, arXiv 2004.03590 (faithfulness-weighted variance)",
        0,
        None,
        higher_is_better=True,
    ),
    Metric(
        "ntire_diversity_{features}",
        Group.VARIED,
        "gain of the best sample per pixel over the best sample per image, percent",
        "mean over inputs of 100 (g - l) / g; g the least mean over pixels, among samples, of the "
        "spatial LPIPS to y*, l the mean over pixels of the least among samples (the challenge "
        "takes AlexNet's)",
        "Lugmayr et al. 2021, NTIRE 2021 Learning the Super-Resolution Space Challenge",
        0,
        100,
        higher_is_better=True,
    ),
)


def sigma_name(sigma: float) -> str:
    """0.15 as `0_15`, since a dot in a metric's name would be read as nesting."""
    return f"{sigma:g}".replace(".", "_")


def pairwise(between: np.ndarray) -> float:
    """Mean distance over pairs of samples, from (S, S) distances; S at least 2."""
    rows, columns = np.triu_indices(len(between), 1)
    return float(between[rows, columns].mean())


def faithful_variance(to_target: np.ndarray, to_mean: np.ndarray, sigma: float) -> float:
    """Faithfulness-weighted variance of one input's S samples.

    Args:
        to_target: (S,) LPIPS to the target.
        to_mean: (S,) LPIPS to the mean image of the samples.
        sigma: width of the kernel, in LPIPS.
    """
    weights = np.exp(-np.square(to_target) / (2 * sigma**2))
    return float((weights * np.square(to_mean)).mean())


def ntire_diversity(best: float, best_by_place: float) -> float:
    """Percent by which the best per pixel is below the best per image; 0 if that is 0."""
    return 100 * (best - best_by_place) / best if best > 0 else 0.0
