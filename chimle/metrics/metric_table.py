"""Metrics as a table for reading, and as files: JSON, provenance and the curve over k."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimle.metrics.evaluator import EvaluationConfig, Scores
from chimle.metrics.fid_kid import LARGEST_SUBSET
from chimle.metrics.intervals import LEVEL
from chimle.metrics.metric import HIGH, INPUT_BASELINE, LOW, Group, Metric
from chimle.metrics.prdc import FEWEST
from chimle.metrics.registry import METRICS, SPECTRUM, features_of, find_metric, plain_name
from chimle.metrics.sliced_wasserstein import SMALLEST_SIDE
from chimle.provenance import code_version, commit

RANDOM_FEATURES = (
    "Perceptual metrics use fixed-seed random features in place of pretrained weights: compare "
    "them within this run only."
)
OTHER = "Other"
"""Group of undeclared metrics."""


@dataclass(frozen=True)
class MetricRow:
    """A row of a table.

    Attributes:
        name: of the metric.
        metric: its declaration; None: it has none.
        value: of the samples.
        baseline: of the input baseline; None: not measured.
        interval: confidence interval over inputs; None: it has none.
        trained_features: names of what the model was fitted to; None: unknown.
    """

    name: str
    metric: Metric | None
    value: float
    baseline: float | None = None
    interval: tuple[float, float] | None = None
    trained_features: tuple[str, ...] | None = None

    @property
    def group(self) -> str:
        """Heading above the row."""
        return str(self.metric.group) if self.metric else OTHER

    @property
    def meaning(self) -> str:
        """What the metric measures."""
        return self.metric.meaning if self.metric else ""

    @property
    def higher_is_better(self) -> bool | None:
        """Direction of the metric; None: undeclared."""
        return self.metric.higher_is_better if self.metric else None

    @property
    def arrow(self) -> str:
        """Direction as an arrow; empty for an undeclared metric."""
        return "" if self.metric is None else self.metric.arrow

    @property
    def features(self) -> str | None:
        """Features that the metric is computed over; None: it needs no network."""
        return features_of(self.name)

    @property
    def of_sets(self) -> bool:
        """Whether the number compares sets of N images."""
        return self.metric is not None and self.metric.group is Group.SETS

    @property
    def seen_in_training(self) -> bool | None:
        """Whether the model was fitted to what the metric is computed over; None: unknown."""
        if self.features is None:
            fitted = SPECTRUM in (self.trained_features or ())
            return fitted and self.name.startswith(SPECTRUM)
        return None if self.trained_features is None else self.features in self.trained_features

    @property
    def basis(self) -> str:
        """What the metric is computed over, and whether training saw it, for a table."""
        if self.features is None:
            return "no network, a filter is fitted to it" if self.seen_in_training else "no network"
        words = {True: "trained on", False: "not trained on", None: ""}[self.seen_in_training]
        return f"{self.features}, {words}" if words else self.features

    @property
    def verdict(self) -> str:
        """`better` or `worse` than the input baseline; empty without one."""
        if self.baseline is None or self.higher_is_better is None or self.value == self.baseline:
            return ""
        return "better" if (self.value > self.baseline) is self.higher_is_better else "worse"


def metric_rows(
    values: Mapping[str, float], trained_features: Sequence[str] | None = None
) -> list[MetricRow]:
    """Rows sorted by group: each metric with its interval and its input baseline.

    Args:
        values: flat, as `flat_values` gives them and the metrics files hold them.
        trained_features: names of the features that training saw, from the provenance; None:
            unknown.
    """
    order = {id(metric): (list(Group).index(metric.group), i) for i, metric in enumerate(METRICS)}
    trained = None if trained_features is None else tuple(trained_features)
    rows = []
    for name, value in values.items():
        if plain_name(name) != name:
            continue
        ends = (values.get(name + LOW), values.get(name + HIGH))
        interval = None if ends[0] is None or ends[1] is None else (ends[0], ends[1])
        baseline = values.get(INPUT_BASELINE + name)
        rows.append(MetricRow(name, find_metric(name), value, baseline, interval, trained))
    last = (len(Group), 0)
    return sorted(rows, key=lambda row: (order.get(id(row.metric), last), row.name))


def trained_features(provenance: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names of the features that training saw, from a provenance file; None: unknown."""
    names = provenance.get("trained_features")
    return tuple(map(str, names)) if isinstance(names, list) else None


def _warnings(config: EvaluationConfig, scores: Scores) -> list[str]:
    count = len(scores.ids)
    found = [RANDOM_FEATURES] if config.perceptual.info.origin == "random" else []
    if count < FEWEST:
        are = "1 input is" if count == 1 else f"{count} inputs are"
        too_few = f"{are} too few for metrics that compare sets: they need {FEWEST}"
        return [*found, too_few]
    if "spectrum" not in scores.values:
        found.append("images differ in size: `spectrum` is left out")
    if "sliced_wasserstein_fine" not in scores.values:
        found.append(
            f"images have sides below {SMALLEST_SIDE} pixels: `sliced_wasserstein` is left out"
        )
    return found


def measured_with(
    config: EvaluationConfig, scores: Scores, program: Path = Path(__file__)
) -> dict[str, Any]:
    """Provenance of metrics: N, networks, seed, hashes and warnings.

    Args:
        config: what the samples were evaluated with.
        scores: of the samples.
        program: source file of the program whose imports are hashed; by default this module, which
            imports all metrics.
    """
    info, count = config.perceptual.info, len(scores.ids)
    inception = config.inception
    return {
        "n": count,
        "samples_per_input": scores.samples,
        "kernel_subset_size": min(LARGEST_SUBSET, count),
        "trained_features": (
            "unknown" if config.trained_features is None else list(config.trained_features)
        ),
        "extractor": {"name": info.name, "origin": info.origin, "sha256": info.sha256},
        "inception": (
            {"origin": inception.origin, "sha256": inception.sha256} if inception else "none"
        ),
        "interval": {"level": LEVEL, "resamples": config.resamples, "of": "inputs"},
        "seed": config.seed,
        "images_sha256": scores.digest,
        "code_sha256": code_version(program),
        "commit": commit(program),
        "warnings": _warnings(config, scores),
    }


def as_json(content: Mapping[str, Any]) -> str:
    """Content of a metrics or provenance file."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def curve_csv(scores: Scores) -> str:
    """Best-of-k curve as CSV: LPIPS of the best of k samples, with its interval over inputs."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("k", "lpips", "low", "high"))
    for k, row in enumerate(scores.curve, start=1):
        writer.writerow((k, *(f"{value:.6g}" for value in row)))
    return buffer.getvalue()
