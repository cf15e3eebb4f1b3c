"""Registry of all metrics, in the order of a table."""

from collections.abc import Mapping

from chimle.metrics import agreement, diversity, fid_kid, full_reference, prdc
from chimle.metrics.metric import DEVIATION, HIGH, INPUT_BASELINE, LOW, Metric

METRICS: tuple[Metric, ...] = (
    *full_reference.METRICS,
    *diversity.METRICS,
    *agreement.METRICS,
    *fid_kid.METRICS,
    *prdc.METRICS,
)


def plain_name(name: str) -> str:
    """A metric's name without the prefix of the input baseline and the suffixes of intervals."""
    name = name.removeprefix(INPUT_BASELINE)
    for suffix in (LOW, HIGH, DEVIATION):
        name = name.removesuffix(suffix)
    return name


def find_metric(name: str) -> Metric | None:
    """The metric that declares a plain name; None for an undeclared name."""
    return next((metric for metric in METRICS if metric.matches(name)), None)


def split_headline(
    values: Mapping[str, float],
) -> tuple[dict[str, float], dict[str, float]]:
    """Headline metrics of a task, and all others."""
    headline: dict[str, float] = {}
    rest: dict[str, float] = {}
    for name, value in sorted(values.items()):
        metric = find_metric(name)
        (headline if metric and metric.headline else rest)[name] = value
    return headline, rest
