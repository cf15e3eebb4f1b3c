"""Confidence intervals over test inputs by the bootstrap."""

import numpy as np

LEVEL = 0.95
"""Confidence level: the share of resampled means inside an interval."""


def resampled_means(rows: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means over N inputs drawn with replacement, the same draws for all columns.

    Args:
        rows: (N, M), a row per input.
        resamples: R, how many.
        seed: of the draws; the same seed, N and R draw the same inputs.

    Returns:
        (R, M).
    """
    count = len(rows)
    generator = np.random.default_rng((seed, count))
    shares = generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count
    means: np.ndarray = shares @ rows
    return means


def ends(values: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Central interval of (R, ...) values at a confidence level: lower and upper ends, (2, ...)."""
    outside = (1 - level) / 2
    interval: np.ndarray = np.quantile(values, (outside, 1 - outside), axis=0)
    return interval


def bootstrap(
    rows: np.ndarray, resamples: int, seed: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of means over inputs (Efron 1979).

    Args:
        rows: (N, M), a row per input and a column per metric.
        resamples: how many.
        seed: of the draws.
        level: confidence level.

    Returns:
        Lower and upper ends, (M,) each.
    """
    low, high = ends(resampled_means(rows, resamples, seed), level)
    return low, high
