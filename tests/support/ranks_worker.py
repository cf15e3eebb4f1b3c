"""Trains a tiny tower on one or several ranks, and writes its choices, losses and weights.

Started by `tests/training/test_distributed.py`:
[torchrun ... -m] tests.support.ranks_worker FOLDER BATCH_SIZE MICRO_BATCHES REPEAT_IMAGES
"""

import os
import sys
from pathlib import Path

import torch

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
)
from chimle.data.batch import Batch
from chimle.errors import guarded
from chimle.io.files import replaced_file
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from chimle.training.distributed import join_ranks
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer

ROUNDS = int(os.environ.get("CHIMLE_RANK_ROUNDS", "3"))
"""Rounds of the run. Without micro-batches differences in the last bits grow: with 45 rounds the
first code differed in the 33rd, a near tie."""


class Recorder(ImleTrainer):
    """Records the choice of every round, and writes it beside the state."""

    choices: tuple[torch.Tensor, ...] = ()

    def _search(self, batch: Batch, round_: int) -> None:
        super()._search(batch, round_)
        indices = self.state.position.indices
        assert indices is not None
        self.choices = (*self.choices, indices)
        if self.ranks.first:
            with replaced_file(self.state_file.parent / f"round_{round_}.pt") as fresh:
                torch.save(indices, fresh)


def main(folder: Path, batch_size: int, micro_batches: int, repeat_images: int) -> None:
    """Write `FOLDER/RANK.pt`."""
    values = known_settings().model_dump(mode="json")
    small = {"rounds": ROUNDS, "images_per_round": 9, "steps_per_round": 8}
    values["train"] |= small | {"checkpoint_seconds": 0}
    values["train"] |= {"batch_size": batch_size, "micro_batches": micro_batches}
    if repeat_images > 1:
        values["train"]["repeat_images"] = repeat_images
        values["search"]["again_below"] = 0.2
    with join_ranks(torch.device("cpu")) as (ranks, _device):
        trainer = Recorder(
            build_settings(RunSettings, values, "a test"),
            known_pairs(Layout.COARSE, 24, 0),
            PixelDistance(),
            Execution(folder / "state.pt", torch.device("cpu"), ranks=ranks),
        )
        trained = trainer.run()
        found = {
            "choices": torch.stack(trainer.choices) if trainer.choices else torch.empty(0),
            "losses": torch.tensor(trained.history),
            "weights": torch.cat([p.flatten() for p in trained.tower.parameters()]),
        }
        torch.save(found, folder / f"{ranks.rank}.pt")


if __name__ == "__main__":
    guarded(lambda: main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
