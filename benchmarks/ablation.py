"""Ablations of the training recipe: one field changed at a time, on equal processor time.

    python -m benchmarks.ablation TASK [--root DIR] [--seconds 300] [--seeds 0 1] [--only NAME ...]

Trains each variant of the task's settings on the training split of `data/pairs/TASK`, and evaluates
it on the validation split, with the perceptual weights that the settings name. Prints a table of
means over seeds, and the two ends where there are several. A training that was interrupted
continues, and one that is done is not repeated: states lie in `scratch/ablation`, each named by all
that determines its run, code included. Time is that of the processor, on one thread, so
that other processes of the machine take nothing from it.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import machine
from chimle.data.augmentation import centre
from chimle.data.dataset import Pair, PairIndex, pairs_hash
from chimle.errors import guarded
from chimle.inference.sampling import sample_pairs
from chimle.metrics.evaluator import EvaluationConfig, evaluate
from chimle.metrics.prediction import Prediction
from chimle.perceptual.distance import Distance
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.perceptual.training_distance import described, load_training_distance
from chimle.provenance import code_version, digest
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings, load_settings
from chimle.tower.generator import Tower
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.run_lock import run_lock
from chimle.training.timer import fair_clock
from chimle.training.training_origin import training_origin

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "base": {},
    "scale1": {"perceptual": {"scales": [1]}},
    "noshift": {"perceptual": {"shift": 0}},
    "turn": {"perceptual": {"turn": True}},
    "cosine": {"train": {"schedule": "cosine", "warmup": 50}},
    "rate": {"train": {"learning_rate": 2e-3}},
    "wide_search": {"search": {"candidates": [40, 40, 10, 5]}},
    "narrow_search": {"search": {"candidates": [4, 3, 2, 2]}},
    "two_candidates": {"search": {"candidates": [2, 2, 2, 2]}},
    "levels": {"train": {"level_weights": [0.5, 0.5, 1, 2]}},
    "too_near": {"search": {"too_near": 0.1}},
    "long_rounds": {"train": {"steps_per_round": 48}},
    "batch32": {"train": {"batch_size": 32}},
    "adaptive": {"train": {"repeat_images": 4}, "search": {"again_below": 0.9}},
    "fp32": {"train": {"precision": "fp32"}},
    "deep": {"tower": {"widths": [24, 24, 12, 12], "growth": [12, 12, 6, 6], "blocks": 2}},
    "wide": {"tower": {"widths": [48, 48, 24, 24], "growth": [24, 24, 12, 12]}},
}
"""Fields that differ from the task's settings, per variant."""
SAMPLES = 10
"""Samples per input."""
MEASURES = {
    "lpips_{}": "LPIPS",
    "lpips_{}_best_of_10": "best of 10",
    "lpips_{}_x2": "LPIPS x2",
    "spectrum": "spectrum",
    "spectrum_excess": "excess",
    "sliced_wasserstein_fine": "SW fine",
    "sliced_wasserstein_middle": "middle",
    "sliced_wasserstein_coarse": "coarse",
    "diversity_lpips_{}": "diversity",
}
"""Measures of the table and their titles; `{}` is the name of the weights that evaluate."""


def variant_settings(base: ModelSettings, name: str, seed: int) -> ModelSettings:
    """The settings of a variant, which starts from scratch and ends by time, not after rounds."""
    values = base.model_dump(mode="json")
    for group, fields in VARIANTS[name].items():
        values[group] |= fields
    values["train"] |= {"start": "scratch", "rounds": 10_000}
    values["seed"] = seed
    return build_settings(ModelSettings, values, f"variant {name}")


def state_file(
    settings: ModelSettings, name: str, root: Path, seconds: float, distance: Distance
) -> Path:
    """Where a training's state is kept; no other training has that name."""
    pairs = root / "data" / "pairs" / settings.task
    origin = training_origin(settings, pairs_hash(pairs), described(distance))
    key = digest([origin, seconds, code_version(Path(__file__))])[:16]
    return root / "scratch" / "ablation" / f"{settings.task}-{name}-{settings.seed}-{key}.pt"


def measured(
    settings: ModelSettings, name: str, root: Path, seconds: float
) -> tuple[int, Mapping[str, float]]:
    """Train, or continue, and evaluate: gradient steps, and metrics by the keys of `MEASURES`."""
    folder = root / "data" / "pairs" / settings.task
    distance = load_training_distance(settings.perceptual, "cpu", root)
    state = state_file(settings, name, root, seconds, distance)
    pairs = PairIndex(folder, "train")
    device = torch.device("cpu")
    execution = Execution(state, device, seconds, fair_clock(device))
    with run_lock(state.with_suffix(".lock"), f"{settings.task} {name} {settings.seed}"):
        trained = ImleTrainer(settings, pairs, distance, execution).run()
    perceptual = load_perceptual(settings.perceptual, "cpu", root)
    values = measures_of(trained.tower, settings, PairIndex(folder, "validation"), perceptual)
    # Few pairs have no measures of whole sets.
    measures = {key: values.get(key.format(perceptual.info.name), np.nan) for key in MEASURES}
    return int(trained.history[-1][0]), measures


def measures_of(
    tower: Tower, settings: ModelSettings, pairs: Sequence[Pair], perceptual: Perceptual
) -> Mapping[str, float]:
    """Metrics of a tower's samples, by name."""
    task, resolution = settings.definition, settings.tower.resolution
    held = (centre(pair, task, resolution) for pair in pairs)
    predictions = (
        Prediction(pair.id, samples, pair.target, pair.input)
        for pair, samples in sample_pairs(tower, task, held, SAMPLES)
    )
    scores, _ = evaluate(predictions, EvaluationConfig(perceptual.at_scales(1), resamples=100))
    return scores.values


def table_head(*columns: str) -> str:
    """The first two lines of a table with these columns and all measures."""
    titles = (*columns, *MEASURES.values())
    return f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"


def cell(values: Sequence[float]) -> str:
    """A mean over seeds, with the two ends where there are several."""
    mean = f"{np.mean(values):.4g}"
    return mean if len(values) < 2 else f"{mean} ({min(values):.4g} to {max(values):.4g})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = load_settings(ModelSettings, options.task, options.root)
    print(f"{machine()}; {options.seconds:g} s of processor time, seeds {options.seeds}\n")
    print(table_head("variant", "steps"))
    for name in options.only:
        runs = [
            measured(variant_settings(base, name, seed), name, options.root, options.seconds)
            for seed in options.seeds
        ]
        cells = [cell([metrics[key] for _, metrics in runs]) for key in MEASURES]
        steps = cell([float(steps) for steps, _ in runs])
        print(f"| {name} | {steps} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    guarded(main)
