"""What every trainer shares: when states are written."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chimle.baselines.known_modes.mode_problem import Layout, known_pairs, known_settings
from chimle.data.batch import Batch
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.training.base_trainer import BaseTrainer
from chimle.training.distributed import Ranks
from chimle.training.ema import WeightAverage
from chimle.training.execution import Execution
from chimle.training.training_state import Position, TrainingState

CPU = torch.device("cpu")


class OneWeight(BaseTrainer):
    """Trains a single weight, which is to become 1."""

    def prepare(self, batch: Batch, round_: int) -> None:
        """Nothing."""

    def step(self, batch: Batch, members: np.ndarray, number: int) -> Tensor:
        """The squared error."""
        del batch, members, number
        self.state.optimizer.zero_grad()
        loss = (next(self.state.network.parameters()) - 1).square().sum()
        loss.backward()
        return loss.detach().unsqueeze(0)

    def columns(self) -> list[str]:
        """One loss."""
        return ["step", "round", "loss", "error"]


def trainer(folder: Path, train: dict[str, Any], **execution: Any) -> OneWeight:
    """A trainer whose rounds have 24 images and 25 steps, unless it is told otherwise."""
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"images_per_round": 24, "steps_per_round": 25, **train}
    settings = build_settings(ModelSettings, values, "a test")
    network = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    state = TrainingState(network, WeightAverage(network, 0.9), optimizer, Position())
    pairs = known_pairs(Layout.COARSE, 24, 0)
    return OneWeight(settings, pairs, state, Execution(folder / "state.pt", CPU, **execution))


@pytest.mark.parametrize("ranks", [Ranks(0, 2), Ranks(1, 2)], ids=["first", "other"])
def test_no_rank_is_due_to_save_again_at_once(tmp_path: Path, ranks: Ranks) -> None:
    run = trainer(tmp_path, {"checkpoint_seconds": 1000}, ranks=ranks)
    run.saved -= 2000
    run.save()
    assert time.monotonic() - run.saved < 1000
    assert run.state_file.exists() is ranks.first
