"""Registry of all metrics, in the order of a table."""

import re
from collections.abc import Mapping

from chimle.metrics import (
    agreement,
    diversity,
    fid_kid,
    full_reference,
    prdc,
    sliced_wasserstein,
    spectrum,
)
from chimle.metrics.metric import DEVIATION, FEATURES, HIGH, INPUT_BASELINE, LOW, Metric

METRICS: tuple[Metric, ...] = (
    *agreement.METRICS,
    *full_reference.METRICS,
    *diversity.METRICS,
    *spectrum.METRICS,
    *sliced_wasserstein.METRICS,
    *fid_kid.METRICS,
    *prdc.METRICS,
)
_FEATURES = re.compile(rf"(?<![a-z0-9])(?:{FEATURES}(?:_x2)?|inception)(?![a-z0-9])")


def plain_name(name: str) -> str:
    """A metric's name without the prefix of the input baseline and the suffixes of intervals."""
    name = name.removeprefix(INPUT_BASELINE)
    for suffix in (LOW, HIGH, DEVIATION):
        name = name.removesuffix(suffix)
    return name


SPECTRUM = "spectrum"
"""Beginning of the names of measures of the power spectrum; among what a model was fitted to, it
says that `train.equaliser` fitted a filter to it."""


def features_of(name: str) -> str | None:
    """Features that a metric is computed over, as `squeeze_x2`; None: it needs no network."""
    if plain_name(name) in ("fid", "kid"):
        return "inception"
    found = _FEATURES.search(name)
    return found[0] if found else None


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
