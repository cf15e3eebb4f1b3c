"""Metrics as a table for reading, and as files: JSON, provenance and the curve over k."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chimle.metrics.evaluator import EvaluationConfig, Scores
from chimle.metrics.fid_kid import LARGEST_SUBSET
from chimle.metrics.intervals import LEVEL
from chimle.metrics.metric import DO_NOTHING, HIGH, LOW, Group, Metric
from chimle.metrics.prdc import FEWEST
from chimle.metrics.registry import METRICS, find_metric, plain_name
from chimle.provenance import code_version, commit

RANDOM_FEATURES = (
    "No pretrained perceptual weights could be had: every perceptual number, and training where "
    "it was this program's, used fixed-seed random features. Numbers compare within this run only."
)
OTHER = "Other"
"""Group of numbers that no metric declares."""


@dataclass(frozen=True)
class MetricRow:
    """A line of a table.

    Attributes:
        name: of the metric.
        metric: what declares it; None: nothing does.
        value: of the answers.
        nothing: of doing nothing; None: not measured.
        interval: low and high end; None: it has none.
    """

    name: str
    metric: Metric | None
    value: float
    nothing: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def group(self) -> str:
        """Heading that the line stands under."""
        return str(self.metric.group) if self.metric else OTHER

    @property
    def meaning(self) -> str:
        """What it says."""
        return self.metric.meaning if self.metric else ""

    @property
    def higher_is_better(self) -> bool | None:
        """Which way is better; None: nobody says."""
        return self.metric.higher_is_better if self.metric else None

    @property
    def of_sets(self) -> bool:
        """Whether the number compares sets of N pictures."""
        return self.metric is not None and self.metric.group is Group.SETS

    @property
    def verdict(self) -> str:
        """`better`, `worse` or nothing to compare with."""
        if self.nothing is None or self.higher_is_better is None or self.value == self.nothing:
            return ""
        return "better" if (self.value > self.nothing) is self.higher_is_better else "worse"


def metric_rows(values: Mapping[str, float]) -> list[MetricRow]:
    """Lines by group: each metric with its interval, beside the same of doing nothing.

    Args:
        values: flat, as `flat_values` gives them and the metrics files hold them.
    """
    order = {id(metric): (list(Group).index(metric.group), i) for i, metric in enumerate(METRICS)}
    rows = []
    for name, value in values.items():
        if plain_name(name) != name:
            continue
        ends = (values.get(name + LOW), values.get(name + HIGH))
        interval = None if ends[0] is None or ends[1] is None else (ends[0], ends[1])
        nothing = values.get(DO_NOTHING + name)
        rows.append(MetricRow(name, find_metric(name), value, nothing, interval))
    last = (len(Group), 0)
    return sorted(rows, key=lambda row: (order.get(id(row.metric), last), row.name))


def measured_with(judge: EvaluationConfig, scores: Scores) -> dict[str, Any]:
    """Provenance of numbers: on what and with what they were measured."""
    info, count = judge.perceptual.info, len(scores.ids)
    warnings = [RANDOM_FEATURES] if info.origin == "random" else []
    if count < FEWEST:
        warnings.append(f"{count} inputs are too few for numbers that compare sets: from {FEWEST}")
    inception = judge.inception
    return {
        "n": count,
        "samples_per_input": scores.samples,
        "kernel_subset_size": min(LARGEST_SUBSET, count),
        "extractor": {"name": info.name, "origin": info.origin, "sha256": info.sha256},
        "inception": (
            {"origin": inception.origin, "sha256": inception.sha256} if inception else "none"
        ),
        "interval": {"level": LEVEL, "resamples": judge.resamples, "of": "inputs"},
        "seed": judge.seed,
        "pictures_sha256": scores.digest,
        "code_sha256": code_version(),
        "commit": commit(),
        "warnings": warnings,
    }


def as_json(content: Mapping[str, Any]) -> str:
    """The text of a metrics or provenance file."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def curve_csv(scores: Scores) -> str:
    """The text of the curve over k: LPIPS of the best of k, and its interval over inputs."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("k", "lpips", "low", "high"))
    for k, row in enumerate(scores.curve, start=1):
        writer.writerow((k, *(f"{value:.6g}" for value in row)))
    return buffer.getvalue()
