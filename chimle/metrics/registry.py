"""All metrics, in the order of a table: what explains a number to a reader."""

from collections.abc import Mapping

from chimle.metrics import agreement as consistency
from chimle.metrics import diversity
from chimle.metrics import fid_kid as fidelity
from chimle.metrics import full_reference as faithfulness
from chimle.metrics import prdc as coverage
from chimle.metrics.metric import DEVIATION, DO_NOTHING, HIGH, LOW, Metric

METRICS: tuple[Metric, ...] = (
    *faithfulness.METRICS,
    *diversity.METRICS,
    *consistency.METRICS,
    *fidelity.METRICS,
    *coverage.METRICS,
)


def plain_name(name: str) -> str:
    """A metric's name without the prefix of doing nothing and the suffixes of an uncertainty."""
    name = name.removeprefix(DO_NOTHING)
    for suffix in (LOW, HIGH, DEVIATION):
        name = name.removesuffix(suffix)
    return name


def find_metric(name: str) -> Metric | None:
    """What declares a plain name; None for one that nothing declares."""
    return next((metric for metric in METRICS if metric.matches(name)), None)


def split_headline(
    values: Mapping[str, float],
) -> tuple[dict[str, float], dict[str, float]]:
    """Values of the short file of a task, and the rest."""
    short: dict[str, float] = {}
    rest: dict[str, float] = {}
    for name, value in sorted(values.items()):
        metric = find_metric(name)
        (short if metric and metric.headline else rest)[name] = value
    return short, rest
