"""Train one method on one task's pairs for the comparison's time, and judge its answers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chimle.baselines.methods import adapt, get_method
from chimle.baselines.run_method import TrainedMethod, train_method
from chimle.data.augmentation import centre
from chimle.data.dataset import Pair, PairIndex, pairs_hash
from chimle.device import choose_device
from chimle.errors import guarded
from chimle.images.decode import write_png
from chimle.io.files import replaced_folder, write_text
from chimle.metrics.evaluator import EvaluationConfig, Scores, evaluate
from chimle.metrics.metric_table import as_json, measured_with
from chimle.metrics.prediction import predictions_of
from chimle.perceptual.lpips import load_perceptual
from chimle.provenance import code_version, digest
from chimle.settings import RunSettings, load_settings
from chimle.settings.comparison import load_comparison
from stages._command import task_parser
from stages.evaluate import load_judge

PICTURED = 3
"""Answers per input that the picture grid shows."""


def train(
    name: str, seed: int, settings: RunSettings, root: Path, device: torch.device, seconds: float
) -> tuple[TrainedMethod, Path]:
    """Train a method; the entrant, and the folder that holds its state until it is judged."""
    method = get_method(name)
    own = adapt(settings, method, seed)
    pairs = root / "data" / "pairs" / settings.task
    perceptual = load_perceptual(own.perceptual, str(device), root)
    origin = [name, seconds, own.model_dump(mode="json"), pairs_hash(pairs), code_version()]
    scratch = root / "scratch" / "contest" / digest([*origin, device.type])[:16]
    index = PairIndex(pairs, "train")
    state = scratch / "state.pt"
    return train_method(method, own, index, perceptual, state, device, seconds), scratch


def write_pictures(folder: Path, pairs: list[Pair], answers: np.ndarray, shown: int) -> None:
    """Inputs, targets and answers of a few test pairs, spread over the ids."""
    rows = np.linspace(0, len(pairs) - 1, min(shown, len(pairs))).round().astype(int)
    for number, row in enumerate(rows):
        write_png(folder / f"{number}_input.png", pairs[row].input)
        write_png(folder / f"{number}_target.png", pairs[row].target)
        for sample, picture in enumerate(answers[row, :PICTURED]):
            write_png(folder / f"{number}_answer_{sample}.png", picture)


def described(
    entrant: TrainedMethod, seed: int, judge: EvaluationConfig, scores: Scores
) -> dict[str, Any]:
    """What a run was and what came of it."""
    return {
        "method": entrant.method.name,
        "task": entrant.settings.task,
        "preset": entrant.settings.preset,
        "seed": seed,
        "parameters": entrant.parameters,
        "seconds": round(entrant.seconds, 1),
        "steps": entrant.steps,
        "values": scores.values,
        "deviations": scores.deviations,
        "rows": {name: [float(f"{x:.6g}") for x in row] for name, row in scores.rows.items()},
        "provenance": measured_with(judge, scores),
    }


def main(task: str, name: str, seed: int, root: Path) -> None:
    """Write `comparison/runs/TASK-METHOD-SEED`."""
    settings, device = load_settings(task, root), choose_device()
    chosen = load_comparison(root).contest
    entrant, scratch = train(name, seed, settings, root, device, chosen.seconds)
    index = PairIndex(root / "data" / "pairs" / task, "test")
    pairs = [centre(p, settings.definition, settings.tower.resolution) for p in index]
    ids, inputs = [pair.id for pair in pairs], [pair.input for pair in pairs]
    answers = entrant.answers(inputs, ids, settings.evaluate.samples, seed)
    judge = load_judge(settings, root, str(device))
    scores, _ = evaluate(predictions_of(ids, answers, [p.target for p in pairs], inputs), judge)
    found = described(entrant, seed, judge, scores)
    with replaced_folder(root / "comparison" / "runs" / f"{task}-{name}-{seed}") as folder:
        write_text(folder / "scores.json", as_json(found))
        write_pictures(folder, pairs, answers, chosen.shown)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    parser = task_parser(__doc__)
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("seed", metavar="SEED", type=int)
    given = parser.parse_args()
    guarded(lambda: main(given.task, given.method, given.seed, given.root))
