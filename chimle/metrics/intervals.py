"""How sure a number is: over test inputs by the bootstrap, over seeds by mean and deviation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chimle.errors import UserError

LEVEL = 0.95
"""Share of resampled means that an interval holds."""


def resampled_means(rows: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means over N inputs drawn with replacement from N, the same for all columns.

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
    return shares @ rows


def ends(values: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """What holds a share `level` of (R, ...) values: lower and upper ends, (2, ...)."""
    outside = (1 - level) / 2
    return np.quantile(values, (outside, 1 - outside), axis=0)


def bootstrap(
    rows: np.ndarray, resamples: int, seed: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of means over inputs (Efron 1979).

    Args:
        rows: (N, M), a row per input and a column per metric.
        resamples: how many.
        seed: of the draws.
        level: share of resampled means between the ends.

    Returns:
        Lower and upper ends, (M,) each.
    """
    low, high = ends(resampled_means(rows, resamples, seed), level)
    return low, high


@dataclass(frozen=True)
class Spread:
    """One metric over several seeds.

    Attributes:
        mean: over seeds.
        deviation: standard deviation over seeds, of a sample (n - 1); 0 for a single seed.
        count: number of seeds.
    """

    mean: float
    deviation: float
    count: int


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Metrics of runs that differ in their seed alone, as mean and deviation.

    Raises:
        UserError: there is no run, or two hold different metrics.
    """
    if not runs:
        raise UserError("no run to aggregate: give the metrics of at least one")
    names = set(runs[0])
    for run in runs[1:]:
        if odd := sorted(names ^ set(run)):
            raise UserError(
                f"metric `{odd[0]}` was measured in some runs only: aggregate runs of one kind"
            )
    found = {}
    for name in sorted(names):
        values = np.array([run[name] for run in runs], dtype=np.float64)
        deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        found[name] = Spread(float(values.mean()), deviation, len(values))
    return found
