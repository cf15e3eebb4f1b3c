"""Train one task: pairs become a model bundle and a training curve.

Resume state lies in `scratch/`, outside DVC's outputs, keyed by the hash of everything that
determines the run; a run with another key never reads it. The state of a run that is done stays
until another one of its task begins: should this process be killed before DVC has taken the result,
the next writes it again instead of training anew.

Several GPUs train one task together: `torchrun --nproc-per-node=N -m stages.train TASK`.

CHIMLE_LOGGERS=tensorboard (or mlflow, wandb, dvclive, separated by commas) shows curve and samples
while it goes on, and changes nothing of the result.
"""

import csv
import io
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from chimle.bundles.bundle import save_bundle
from chimle.bundles.start_weights import StartWeights, load_start
from chimle.data.dataset import PairIndex, check_pair_size, pairs_hash, read_manifest
from chimle.device import choose_device, device_identity
from chimle.errors import UserError
from chimle.io.file_locks import locked
from chimle.io.files import write_text
from chimle.loggers.log_run import chosen_loggers, log_run
from chimle.loggers.logger import Run
from chimle.loggers.preview import Preview
from chimle.perceptual.training_distance import described, load_training_distance
from chimle.provenance import code_version, commit, digest
from chimle.settings.model_settings import ModelSettings
from chimle.training.distributed import Ranks, join_ranks
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer, Trained
from chimle.training.run_lock import LOCK, run_lock
from chimle.training.training_origin import training_origin
from stages._command import run_stage

_DONE = "done"
"""Beside a state: its run has written its outputs."""
SMALLER = "lower `train.batch_size`, `search.memory`, `search.candidates` or the sizes of `tower`"
"""What to do where memory is full."""


def provenance(
    settings: ModelSettings, pairs: Path, extractor: dict[str, str], start: StartWeights | None
) -> dict[str, Any]:
    """What the bundle says of its origin; its hash keys the resume state."""
    origin = training_origin(settings, pairs_hash(pairs), extractor, start)
    return {**origin, "code_sha256": code_version(Path(__file__))}


def write_curve(path: Path, trained: Trained) -> None:
    """The training curve as CSV, six significant digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(trained.columns)
    for step, round_, *values in trained.history:
        writer.writerow([int(step), int(round_), *(f"{value:.6g}" for value in values)])
    write_text(path, buffer.getvalue())


def _remove_finished(states: Path, own: Path) -> None:
    """Remove the states of a task's finished runs, but for one's own and those in use."""
    for folder in (mark.parent for mark in states.glob(f"*/{_DONE}") if mark.parent != own):
        with locked(folder / LOCK, wait=False) as lock:
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)


def _shown_pairs(pairs: Path) -> PairIndex:
    """The pairs whose samples loggers show: of the validation split, where there is one."""
    try:
        return PairIndex(pairs, "validation")
    except UserError:
        return PairIndex(pairs, "train")


def _write_outputs(
    root: Path,
    trained: Trained,
    settings: ModelSettings,
    origin: dict[str, Any],
    degradation: dict[str, Any],
) -> None:
    """The model bundle and the training curve."""
    origin = {**origin, "commit": commit(Path(__file__))}
    folder = root / "models" / settings.task
    save_bundle(folder, trained.tower, settings, origin, degradation=degradation)
    write_curve(root / "curves" / f"{settings.task}.csv", trained)


def main(settings: ModelSettings, root: Path) -> None:
    """Train `settings.task`; write `models/TASK` and `curves/TASK.csv` when done.

    Raises:
        UserError: bad settings, pairs or weights, or another process computes the same run.
    """
    with join_ranks(choose_device()) as (ranks, device):
        train(settings, root, ranks, device)


def train(settings: ModelSettings, root: Path, ranks: Ranks, device: torch.device) -> None:
    """A rank's part of it; the first rank writes."""
    pairs = root / "data" / "pairs" / settings.task
    manifest = read_manifest(pairs)
    check_pair_size(manifest, settings.tower.resolution)
    distance = load_training_distance(settings.perceptual, str(device), root)
    start = load_start(settings, root)
    origin = provenance(settings, pairs, described(distance), start)
    states = root / "scratch" / "train" / settings.task
    scratch = states / digest([origin, device_identity(device)])[:16]
    with run_lock(scratch / LOCK, settings.task) if ranks.first else nullcontext():
        ranks.barrier()  # A run that the first rank waits for may still write the state.
        if ranks.first:
            _remove_finished(states, scratch)
        with log_run(
            chosen_loggers() if ranks.first else (),
            Run(
                settings.task,
                scratch.name,
                root / "scratch" / "logs" / settings.task / scratch.name,
                origin["settings"],
            ),
            lambda: Preview(settings, _shown_pairs(pairs), device),
        ) as logger:
            execution = Execution(
                scratch / "state.pt", device, settings.train.seconds, ranks=ranks, logger=logger
            )
            index = PairIndex(pairs, "train")
            trained = ImleTrainer(settings, index, distance, execution, start).run()
        if ranks.first:
            _write_outputs(root, trained, settings, origin, manifest["degradation"])
            write_text(scratch / _DONE, "")


def command() -> None:
    """The command line `python -m stages.train TASK [--root DIR]`."""
    run_stage(main, ModelSettings, __doc__, SMALLER)


if __name__ == "__main__":
    command()
