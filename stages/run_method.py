"""Train one method on one task's pairs for the comparison's time and evaluate its samples."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from chimle.baselines.methods import adapt, get_method
from chimle.baselines.run_method import TrainedMethod, train_method
from chimle.data.augmentation import centre
from chimle.data.dataset import PairIndex, check_pair_size, pairs_hash, read_manifest
from chimle.data.even_spacing import evenly_spaced
from chimle.device import choose_device
from chimle.errors import guarded
from chimle.images.decode import write_png
from chimle.io.files import replaced_folder, write_text
from chimle.metrics.evaluator import EvaluationConfig, Scores, evaluate
from chimle.metrics.metric_table import as_json, measured_with
from chimle.perceptual.training_distance import load_training_distance
from chimle.provenance import code_version, digest
from chimle.settings.comparison import load_comparison
from chimle.settings.evaluate import EvaluateStageSettings
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings
from chimle.training.run_lock import LOCK, run_lock
from stages._command import task_parser
from stages.evaluate import Drawn, load_evaluation, predictions

SHOWN_SAMPLES = 3
"""Samples per input that the image grid shows."""
SMALLER = "lower `train.batch_size`, `search.memory`, `evaluate.batch_size` or the sizes of `tower`"
"""What to do where memory is full."""


@contextmanager
def train(
    name: str, seed: int, settings: ModelSettings, root: Path, device: torch.device, seconds: float
) -> Iterator[TrainedMethod]:
    """The trained method; its training state is removed once the block has evaluated it.

    Raises:
        UserError: pairs are too small, or another process computes the same run.
    """
    method = get_method(name)
    pairs = root / "data" / "pairs" / settings.task
    check_pair_size(read_manifest(pairs), settings.tower.resolution)
    index = PairIndex(pairs, "train")
    adapted = adapt(settings, method, seed, len(index))
    distance = load_training_distance(adapted.perceptual, str(device), root)
    code = code_version(Path(__file__))
    origin = [name, seconds, adapted.model_dump(mode="json"), pairs_hash(pairs), code]
    scratch = root / "scratch" / "run_method" / digest([*origin, device.type])[:16]
    with run_lock(scratch / LOCK, f"{settings.task} {name} {seed}"):
        state = scratch / "state.pt"
        yield train_method(method, adapted, index, distance, state, device, seconds)
        shutil.rmtree(scratch, ignore_errors=True)


def write_images(folder: Path, shown: Sequence[Drawn]) -> None:
    """Inputs, targets and samples of a few test pairs."""
    for number, (pair, samples) in enumerate(shown):
        write_png(folder / f"{number}_input.png", pair.input)
        write_png(folder / f"{number}_target.png", pair.target)
        for sample, image in enumerate(samples[:SHOWN_SAMPLES]):
            write_png(folder / f"{number}_sample_{sample}.png", image)


def run_record(
    trained: TrainedMethod, seed: int, config: EvaluationConfig, scores: Scores
) -> dict[str, Any]:
    """Content of `scores.json`: settings, cost and scores of one run."""
    return {
        "method": trained.method.name,
        "task": trained.settings.task,
        "preset": trained.settings.preset,
        "seed": seed,
        "parameters": trained.parameters,
        "seconds": round(trained.seconds, 1),
        "steps": trained.steps,
        "values": scores.values,
        "deviations": scores.deviations,
        "rows": {name: [float(f"{x:.6g}") for x in row] for name, row in scores.rows.items()},
        "provenance": measured_with(config, scores, Path(__file__)),
    }


def main(task: str, name: str, seed: int, root: Path) -> None:
    """Write `comparison/runs/TASK-METHOD-SEED`."""
    settings, device = load_settings(ModelSettings, task, root), choose_device()
    scoring = load_settings(EvaluateStageSettings, task, root)
    comparison = load_comparison(root).run_method
    with train(name, seed, settings, root, device, comparison.seconds) as trained:
        index = PairIndex(root / "data" / "pairs" / task, "test")
        held = (centre(p, settings.definition, settings.tower.resolution) for p in index)
        own = scoring.evaluate
        drawn = trained.sample_pairs(held, own.samples, seed, own.batch_size)
        config = load_evaluation(scoring, root, str(device), index.root)
        features = trained.trained_features(config.perceptual.info.name)
        config = replace(config, trained_features=features)
        shown, rows = list[Drawn](), evenly_spaced(len(index), comparison.shown)
        scores, _ = evaluate(predictions(drawn, rows, shown), config)
        record = run_record(trained, seed, config, scores)
        with replaced_folder(root / "comparison" / "runs" / f"{task}-{name}-{seed}") as folder:
            write_text(folder / "scores.json", as_json(record))
            write_images(folder, shown)


if __name__ == "__main__":
    parser = task_parser(__doc__)
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("seed", metavar="SEED", type=int)
    arguments = parser.parse_args()
    guarded(
        lambda: main(arguments.task, arguments.method, arguments.seed, arguments.root),
        smaller=SMALLER,
    )
