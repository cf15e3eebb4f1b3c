"""All metrics of any answers, whoever gave them: of a model, of a folder, of doing nothing at all.

Cases go through one at a time and leave a row of numbers and a few features each. What is a mean
over inputs has an interval; what compares sets has a deviation over the sets.
"""

import hashlib
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from chimle.errors import UserError
from chimle.metrics.agreement import consistency
from chimle.metrics.diversity import (
    SIGMAS,
    faithful_variance,
    ntire_diversity,
    pairwise,
    sigma_name,
)
from chimle.metrics.feature_records import Record, inception_features, lpips_features
from chimle.metrics.fid_kid import set_distances
from chimle.metrics.full_reference import best_of, psnr, ssim
from chimle.metrics.inception import Inception
from chimle.metrics.intervals import bootstrap
from chimle.metrics.metric import DEVIATION, DO_NOTHING, HIGH, LOW
from chimle.metrics.prdc import FEWEST, set_shares
from chimle.metrics.prediction import Prediction
from chimle.perceptual.lpips import Perceptual
from chimle.settings import PairSettings
from chimle.tasks import Task

DIGITS = 6
"""Significant digits that are kept: what differs between batch sizes lies below."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What cases are judged with.

    Attributes:
        perceptual: the distance; its name stands in the metrics' names.
        inception: the FID's network; None: no FID.
        task: says what agreement with the input is; None: it is not judged.
        pair: how inputs were degraded.
        batch_size: pictures in a network at once; never changes a number beyond rounding.
        resamples: of the bootstrap over inputs.
        seed: of the bootstrap.
        records: folder that keeps what the networks said of pictures; None: nowhere.
    """

    perceptual: Perceptual
    inception: Inception | None = None
    task: Task | None = None
    pair: PairSettings = field(default_factory=PairSettings)
    batch_size: int = 16
    resamples: int = 1000
    seed: int = 0
    records: Path | None = None


@dataclass(frozen=True)
class Scores:
    """What came of N inputs with S answers each.

    Attributes:
        ids: of the inputs, sorted.
        samples: S.
        rows: (N,) per metric that is a mean over inputs, in the order of `ids`.
        values: all metrics, rounded.
        intervals: (low, high) of the metrics in `rows`.
        deviations: of metrics that compare sets, over the S sets; empty for S = 1.
        curve: (S, 3) LPIPS of the best of k = 1 .. S with the ends of its interval.
        digest: SHA-256 over all pictures.
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
    """What is kept of a case."""

    id: str
    digest: str
    row: dict[str, float]
    distances: np.ndarray
    perceived: Record
    recognised: Record | None


def _near_and_varied(record: Record, name: str) -> dict[str, float]:
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
        best, by_place = float(record["best"]), float(record["best_by_place"])
        row[f"ntire_diversity_{name}"] = ntire_diversity(best, by_place)
    return row


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


class Evaluator:
    """Cases add up to scores."""

    def __init__(self, judge: EvaluationConfig) -> None:
        self.judge = judge
        self._entries: list[_Entry] = []

    def add(self, case: Prediction) -> None:
        """Judge one case; `UserError` where it is malformed or has another number of answers."""
        case.check()
        judge, answers = self.judge, case.answers
        if self._entries and len(answers) != len(self._entries[0].distances):
            first = self._entries[0]
            raise UserError(
                f"{case.id} has {len(answers)} answers and {first.id} {len(first.distances)}: "
                "every input needs equally many"
            )
        perceived = lpips_features(case, judge.perceptual, judge.batch_size, judge.records)
        row = _near_and_varied(perceived, judge.perceptual.info.name)
        targets = np.repeat(case.target[None], len(answers), axis=0)
        row["psnr"] = float(psnr(answers, targets).mean())
        row["ssim"] = float(ssim(answers, case.target).mean())
        if judge.task is not None and case.input is not None:
            row |= consistency(answers, case.input, judge.task, judge.pair)
        recognised = None
        if judge.inception is not None:
            recognised = inception_features(case, judge.inception, judge.batch_size, judge.records)
        distances = perceived["to_target"].astype(np.float64)
        entry = _Entry(case.id, case.digest(), row, distances, perceived, recognised)
        self._entries.append(entry)

    def scores(self) -> Scores:
        """All numbers; `UserError` without a case, with an id twice, or if one is not finite."""
        entries = sorted(self._entries, key=lambda entry: entry.id)
        if not entries:
            raise UserError("there is nothing to judge: give one input with its answers at least")
        ids = tuple(entry.id for entry in entries)
        if twice := next((a for a, b in itertools.pairwise(ids) if a == b), None):
            raise UserError(f"two inputs are called {twice}: rename one")
        rows = {name: np.array([entry.row[name] for entry in entries]) for name in entries[0].row}
        sets = self._sets(entries, rows)
        values = {name: float(row.mean()) for name, row in rows.items()}
        values |= {name: float(own.mean()) for name, own in sets.items()}
        if broken := sorted(name for name, value in values.items() if not math.isfinite(value)):
            raise UserError(f"metric `{broken[0]}` is not finite: look at the samples")
        many = len(entries[0].distances) > 1
        spread = {name: float(own.std(ddof=1)) for name, own in sets.items() if many}
        curve = best_of(np.stack([entry.distances for entry in entries]))
        resamples, seed = self.judge.resamples, self.judge.seed
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
        """Distances of sets (S,); shares per input go into `rows`. None of them for few inputs."""
        if len(entries) < FEWEST:
            return {}
        name = self.judge.perceptual.info.name
        networks = [(name, f"frechet_{name}", f"kernel_{name}", [e.perceived for e in entries])]
        recognised = [e.recognised for e in entries if e.recognised is not None]
        if recognised:
            networks.append(("inception", "fid", "kid", recognised))
        found: dict[str, np.ndarray] = {}
        for network, *distances, records in networks:
            own = torch.from_numpy(np.stack([record["own"] for record in records]))
            targets = torch.from_numpy(np.stack([record["target"] for record in records]))
            found |= set_distances(own, targets, (distances[0], distances[1]))
            rows |= set_shares(own, targets, network)
        return found


def evaluate(cases: Iterable[Prediction], judge: EvaluationConfig) -> tuple[Scores, Scores | None]:
    """Scores of answers, and of doing nothing where every input is at hand.

    Args:
        cases: in any order; read one at a time.
        judge: what to judge with.

    Raises:
        UserError: a case is malformed, counts differ, or a metric is not finite.
    """
    mine, nothing = Evaluator(judge), Evaluator(judge)
    complete = True
    for case in cases:
        mine.add(case)
        other = case.input_baseline()
        if other is None:
            complete = False
        else:
            nothing.add(other)
    return mine.scores(), nothing.scores() if complete else None


def flat_values(scores: Scores, nothing: Scores | None) -> dict[str, float]:
    """Everything under one name each; what belongs to doing nothing begins with `do_nothing_`."""
    return scores.flat() | (nothing.flat(DO_NOTHING) if nothing else {})
