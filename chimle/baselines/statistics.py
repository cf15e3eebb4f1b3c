"""Change of a metric against CHIMLE, with its interval, over seeds and test inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chimle.baselines.methods import CHIMLE
from chimle.errors import UserError
from chimle.metrics.intervals import ends, resampled_means

RESAMPLES = 2000
"""Of the bootstrap over test inputs."""
Run = Mapping[str, Any]
"""What `stages.run_method` writes of a method, task and seed."""
RUN_FIELDS = frozenset(
    [
        "method",
        "task",
        "preset",
        "seed",
        "parameters",
        "seconds",
        "steps",
        "values",
        "rows",
        "provenance",
    ]
)
"""Fields of a run that tables and figures read."""


@dataclass(frozen=True)
class RelativeChange:
    """A metric of one method, relative to CHIMLE's.

    Attributes:
        value: mean over seeds.
        deviation: standard deviation over seeds (n - 1); None for one seed.
        relative: value / CHIMLE's value - 1; None for CHIMLE itself, and where it has none.
        interval: of `relative`, over test inputs; None for a set metric.
    """

    value: float
    deviation: float | None
    relative: float | None
    interval: tuple[float, float] | None


def _runs_of(runs: Sequence[Run], task: str, method: str) -> list[Run]:
    found = [run for run in runs if run["task"] == task and run["method"] == method]
    return sorted(found, key=lambda run: run["seed"])


def _rows(runs: Sequence[Run], metric: str) -> np.ndarray | None:
    """(N,) values per test input, means over seeds; None for a set metric."""
    if any(metric not in run["rows"] for run in runs):
        return None
    mean: np.ndarray = np.mean([run["rows"][metric] for run in runs], axis=0)
    return mean


def relative_interval(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Interval of mean(own) / mean(other) - 1, both (N,), over the same resampled inputs."""
    means = resampled_means(np.stack((own, other), axis=1), RESAMPLES, seed=0)
    low, high = ends(means[:, 0] / means[:, 1] - 1)
    return float(low), float(high)


def change(runs: Sequence[Run], task: str, method: str, metric: str) -> RelativeChange:
    """One entry of the table.

    Raises:
        UserError: a run lacks the metric, or CHIMLE's and the method's inputs are not the same.
    """
    own, first = _runs_of(runs, task, method), _runs_of(runs, task, CHIMLE)
    if missing := [run["method"] for run in (*own, *first) if metric not in run["values"]]:
        raise UserError(f"{task}: the runs of {missing[0]} have no metric `{metric}`")
    values = np.array([run["values"][metric] for run in own])
    deviation = float(values.std(ddof=1)) if len(values) > 1 else None
    if method == CHIMLE or not first:
        return RelativeChange(float(values.mean()), deviation, None, None)
    other = float(np.mean([run["values"][metric] for run in first]))
    relative = float(values.mean()) / other - 1 if other else None
    rows, others = _rows(own, metric), _rows(first, metric)
    interval = None
    if rows is not None and others is not None and relative is not None:
        if len(rows) != len(others):
            raise UserError(f"{task}: {method} and {CHIMLE} were evaluated on different inputs")
        interval = relative_interval(rows, others)
    return RelativeChange(float(values.mean()), deviation, relative, interval)
