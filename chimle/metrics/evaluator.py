"""Evaluation: all metrics of samples from any origin, and of the input baseline.

Predictions are evaluated one at a time; only a row of numbers and the features of each are kept.
Metrics that are means over inputs have a bootstrap interval, metrics that compare sets a standard
deviation over the sets.
"""

import hashlib
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chimle.errors import UserError
from chimle.metrics.agreement import agreement, black_errors
from chimle.metrics.diversity import (
    SIGMAS,
    faithful_variance,
    ntire_diversity,
    pairwise,
    sigma_name,
)
from chimle.metrics.feature_records import (
    SCALE,
    Record,
    enlarged_features,
    inception_features,
    lpips_features,
)
from chimle.metrics.fid_kid import set_distances, set_frechet
from chimle.metrics.full_reference import best_of, psnr, ssim
from chimle.metrics.inception import Inception
from chimle.metrics.intervals import bootstrap
from chimle.metrics.metric import DEVIATION, HIGH, INPUT_BASELINE, LOW
from chimle.metrics.prdc import FEWEST, set_shares
from chimle.metrics.prediction import Prediction
from chimle.metrics.sliced_wasserstein import SlicedWasserstein
from chimle.metrics.spectrum import Spectrum
from chimle.perceptual.lpips import Perceptual
from chimle.settings.degradation import DegradationSettings
from chimle.tasks import Task

DIGITS = 6
"""Significant digits of a value: differences between batch sizes are smaller."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Networks and options of an evaluation.

    Attributes:
        perceptual: the distance; its name stands in the metrics' names.
        inception: the FID's network; None: no FID.
        task: decides what agreement with the input means; None: it is not measured.
        degradation: parameters of the inputs' degradation.
        batch_size: images in a network at once; never changes a number beyond rounding.
        resamples: of the bootstrap over inputs.
        seed: of the bootstrap.
        records: folder of the feature cache; None: features are not kept.
        trained_features: names of what the model was fitted to, as `squeeze_x2`
            (`chimle.metrics.seen_features`); None: unknown.
    """

    perceptual: Perceptual
    inception: Inception | None = None
    task: Task | None = None
    degradation: DegradationSettings = field(default_factory=DegradationSettings)
    batch_size: int = 16
    resamples: int = 1000
    seed: int = 0
    records: Path | None = None
    trained_features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scores:
    """Metrics of N inputs with S samples each.

    Attributes:
        ids: of the inputs, sorted.
        samples: S.
        rows: (N,) per metric that is a mean over inputs, in the order of `ids`.
        values: all metrics, rounded.
        intervals: (low, high) of the metrics in `rows`.
        deviations: standard deviations over the S sets of set metrics; none for S = 1.
        curve: (S, 3) LPIPS of the best of k = 1 .. S with the ends of its interval.
        digest: SHA-256 over all images.
    """

    ids: tuple[str, ...]
    samples: int
    rows: dict[str, np.ndarray]
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    deviations: dict[str, float]
    curve: np.ndarray
    digest: str

    def flat(self, prefix: str = "") -> dict[str, float]:
        """Values, ends of intervals and deviations under one name each."""
        flat = {prefix + name: value for name, value in self.values.items()}
        for name, (low, high) in self.intervals.items():
            flat |= {prefix + name + LOW: low, prefix + name + HIGH: high}
        return flat | {prefix + name + DEVIATION: v for name, v in self.deviations.items()}


@dataclass(frozen=True)
class _Entry:
    """Numbers and features of one prediction."""

    id: str
    digest: str
    row: dict[str, float]
    distances: np.ndarray
    lpips: Record
    enlarged: Record
    inception: Record | None
    black: np.ndarray


def _lpips_metrics(record: Record, name: str) -> dict[str, float]:
    """Per-input metrics of LPIPS alone."""
    distances = record["to_target"].astype(np.float64)
    count = len(distances)
    row = {f"lpips_{name}": float(distances.mean())}
    if count > 1:
        row[f"lpips_{name}_best_of_{count}"] = float(distances.min())
        row[f"diversity_lpips_{name}"] = pairwise(record["between"].astype(np.float64))
        for sigma in SIGMAS:
            value = faithful_variance(distances, record["to_mean"].astype(np.float64), sigma)
            row[f"faithful_variance_{name}_sigma_{sigma_name(sigma)}"] = value
        best, per_pixel = float(record["best"]), float(record["best_per_pixel"])
        row[f"ntire_diversity_{name}"] = ntire_diversity(best, per_pixel)
    return row


def _enlarged_metrics(record: Record, name: str) -> dict[str, float]:
    """Per-input metrics of LPIPS of enlarged images."""
    distances = record["to_target"].astype(np.float64)
    row = {f"lpips_{name}_x{SCALE}": float(distances.mean())}
    if len(distances) > 1:
        row[f"lpips_{name}_x{SCALE}_best_of_{len(distances)}"] = float(distances.min())
    return row


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


class Evaluator:
    """Accumulates predictions into scores."""

    def __init__(self, config: EvaluationConfig) -> None:
        self.config = config
        self._entries: list[_Entry] = []
        self._spectrum, self._patches = Spectrum(), SlicedWasserstein()

    def add(self, prediction: Prediction) -> None:
        """Evaluate a prediction; `UserError` if malformed or with another number of samples."""
        task = self.config.task
        prediction.check(enlarges=task is None or task.reduction > 1)
        samples = prediction.samples
        if self._entries and len(samples) != len(self._entries[0].distances):
            first = self._entries[0]
            raise UserError(
                f"{prediction.id} has {len(samples)} samples and {first.id} "
                f"{len(first.distances)}: every input needs equally many"
            )
        self._entries.append(self._entry(prediction))
        self._spectrum.add(samples, prediction.target)
        self._patches.add(prediction.id, samples, prediction.target)

    def _entry(self, prediction: Prediction) -> _Entry:
        config, samples = self.config, prediction.samples
        options = (config.perceptual, config.batch_size, config.records)
        lpips, enlarged = (
            measure(prediction, *options) for measure in (lpips_features, enlarged_features)
        )
        name = config.perceptual.info.name
        row = _lpips_metrics(lpips, name) | _enlarged_metrics(enlarged, name)
        targets = np.repeat(prediction.target[None], len(samples), axis=0)
        row["psnr"] = float(psnr(samples, targets).mean())
        row["ssim"] = float(ssim(samples, prediction.target).mean())
        black = np.zeros(0)
        if config.task is not None and prediction.input is not None:
            row |= agreement(samples, prediction.input, config.task, config.degradation)
            black = black_errors(samples, prediction.input, config.task)
        inception = None
        if config.inception is not None:
            inception = inception_features(
                prediction, config.inception, config.batch_size, config.records
            )
        distances = lpips["to_target"].astype(np.float64)
        return _Entry(
            prediction.id, prediction.digest(), row, distances, lpips, enlarged, inception, black
        )

    def scores(self) -> Scores:
        """All metrics; `UserError` for no prediction, a repeated id, or a value not finite."""
        entries = sorted(self._entries, key=lambda entry: entry.id)
        if not entries:
            raise UserError("nothing to evaluate: give at least one input with its samples")
        ids = tuple(entry.id for entry in entries)
        if repeated := next((a for a, b in itertools.pairwise(ids) if a == b), None):
            raise UserError(f"two inputs are called {repeated}: rename one")
        rows = {name: np.array([entry.row[name] for entry in entries]) for name in entries[0].row}
        sets = self._sets(entries, rows)
        values = {name: float(row.mean()) for name, row in rows.items()}
        values |= {name: float(own.mean()) for name, own in sets.items()}
        if len(black := np.concatenate([entry.black for entry in entries])):
            values["agreement_black"] = float(black.mean())
        if invalid := sorted(name for name, value in values.items() if not math.isfinite(value)):
            raise UserError(f"metric `{invalid[0]}` is not finite: look at the samples")
        several = len(entries[0].distances) > 1
        spread = {name: float(own.std(ddof=1)) for name, own in sets.items() if several}
        curve = best_of(np.stack([entry.distances for entry in entries]))
        resamples, seed = self.config.resamples, self.config.seed
        low, high = bootstrap(np.column_stack(list(rows.values())), resamples, seed)
        ends = bootstrap(curve, resamples, seed)
        return Scores(
            ids,
            len(entries[0].distances),
            rows,
            {name: _rounded(value) for name, value in sorted(values.items())},
            {name: (_rounded(a), _rounded(b)) for name, a, b in zip(rows, low, high, strict=True)},
            {name: _rounded(value) for name, value in spread.items()},
            np.column_stack((curve.mean(axis=0), *ends)),
            hashlib.sha256("".join(entry.digest for entry in entries).encode()).hexdigest(),
        )

    def _sets(self, entries: list[_Entry], rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Set distances (S,); per-input shares are added to `rows`. None below `FEWEST` inputs."""
        if len(entries) < FEWEST:
            return {}
        name = self.config.perceptual.info.name
        networks = [(name, f"frechet_{name}", f"kernel_{name}", [e.lpips for e in entries])]
        enlarged = (_stacked([e.enlarged for e in entries], key) for key in ("own", "target"))
        inception = [e.inception for e in entries if e.inception is not None]
        if inception:
            networks.append(("inception", "fid", "kid", inception))
        found = {f"frechet_{name}_x{SCALE}": set_frechet(*enlarged)}
        found |= dict(self._spectrum.metrics()) | dict(self._patches.metrics())
        for network, *distances, records in networks:
            own, targets = (_stacked(records, key) for key in ("own", "target"))
            found |= set_distances(own, targets, (distances[0], distances[1]))
            rows |= set_shares(own, targets, network)
        return found


def _stacked(records: list[Record], key: str) -> Tensor:
    """One array of all records: (N, ...)."""
    return torch.from_numpy(np.stack([record[key] for record in records]))


def evaluate(
    predictions: Iterable[Prediction], config: EvaluationConfig
) -> tuple[Scores, Scores | None]:
    """Scores of samples and, where every input is given, of the input baseline.

    Args:
        predictions: in any order; read one at a time.
        config: networks and options.

    Raises:
        UserError: a prediction is malformed, counts differ, or a metric is not finite.
    """
    own, baseline = Evaluator(config), Evaluator(config)
    complete = True
    for prediction in predictions:
        own.add(prediction)
        other = prediction.input_baseline()
        if other is None:
            complete = False
        else:
            baseline.add(other)
    return own.scores(), baseline.scores() if complete else None


def flat_values(scores: Scores, baseline: Scores | None) -> dict[str, float]:
    """All numbers by name; those of the input baseline begin with `input_baseline_`."""
    return scores.flat() | (baseline.flat(INPUT_BASELINE) if baseline else {})
