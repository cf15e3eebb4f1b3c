"""What every trainer shares: when states are written, and how a run ends by time."""

import itertools
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chimle.baselines.known_modes.mode_problem import Layout, known_pairs, known_settings
from chimle.data.batch import Batch
from chimle.errors import UserError
from chimle.io.files import replaced_file
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.training.base_trainer import BaseTrainer
from chimle.training.distributed import Ranks
from chimle.training.ema import WeightAverage
from chimle.training.execution import Execution
from chimle.training.training_state import Position, TrainingState
from tests.support.waiting import wait_until

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


def trainer(
    folder: Path, train: dict[str, Any], kind: type[OneWeight] = OneWeight, **execution: Any
) -> OneWeight:
    """A trainer whose rounds have 24 images and 25 steps, unless `train` says otherwise."""
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"images_per_round": 24, "steps_per_round": 25, **train}
    settings = build_settings(ModelSettings, values, "a test")
    network = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    state = TrainingState(network, WeightAverage(network, 0.9), optimizer, Position())
    pairs = known_pairs(Layout.COARSE, 24, 0)
    return kind(settings, pairs, state, Execution(folder / "state.pt", CPU, **execution))


@pytest.mark.parametrize("ranks", [Ranks(0, 2), Ranks(1, 2)], ids=["first", "other"])
def test_no_rank_is_due_to_save_again_at_once(tmp_path: Path, ranks: Ranks) -> None:
    run = trainer(tmp_path, {"checkpoint_seconds": 1000}, ranks=ranks)
    run.saved -= 2000
    run.save()
    assert time.monotonic() - run.saved < 1000
    assert run.state_file.exists() is ranks.first


def test_a_run_that_cannot_begin_leaves_the_terminal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run = trainer(tmp_path, {})
    assert run.progress.live is not None
    run.state_file.write_bytes(b"no state")
    threads = threading.active_count()
    with pytest.raises(UserError, match="delete it to train anew"):
        run.run_rounds()
    wait_until(lambda: threading.active_count() < threads, 30)  # That of the live line ends.


@pytest.mark.parametrize("bad", [25, 50])
def test_no_state_and_no_model_hold_what_is_no_number(tmp_path: Path, bad: int) -> None:
    """A finite loss may have a gradient that is none, in the last step before a state, too."""

    class Overflowing(OneWeight):
        def step(self, batch: Batch, members: np.ndarray, number: int) -> Tensor:
            losses = super().step(batch, members, number)
            if number == bad:
                for weight in self.state.network.parameters():
                    weight.grad = torch.full_like(weight, torch.nan)
            return losses

    run = trainer(tmp_path, {"rounds": 2}, kind=Overflowing)
    said = f"a weight became infinite or no number in round {bad // 25}, step 25: lower"
    with pytest.raises(UserError, match=said):
        run.run_rounds()
    assert bad == 25 or run.state_file.exists()
    if run.state_file.exists():
        run.state.restore(run.state_file, CPU)
        assert all(weight.isfinite().all() for weight in run.state.network.parameters())


def test_what_a_killed_process_left_of_a_state_is_removed(tmp_path: Path) -> None:
    with replaced_file(tmp_path / "other.pt"):
        run = trainer(tmp_path, {"rounds": 1})
        unfinished = tmp_path / ".state.pt.k2_x9w4a"  # As `replaced_file` names it.
        unfinished.write_bytes(b"half a state")
        others = {path for path in tmp_path.iterdir() if path != unfinished}
        run.run_rounds()
        assert set(tmp_path.iterdir()) == others | {run.state_file}


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize(
    ("apart", "last"), [*((-1, save) for save in range(1, 10)), *((1000, save) for save in (1, 2))]
)
def test_a_round_that_was_said_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], apart: float, last: int, written: bool
) -> None:
    """A run dies at a save, just before it or just after it; then another goes on.

    It saves after every round, and where states are not far apart after every step as well.
    """
    saves = itertools.count(1)

    class Dying(OneWeight):
        def save(self) -> None:
            dies = next(saves) == last
            if written or not dies:
                super().save()
            if dies:
                raise KeyboardInterrupt

        def _checkpoint_seconds(self) -> float:
            return apart

    sizes = {"rounds": 3, "steps_per_round": 2}
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, sizes, kind=Dying).run_rounds()
    trainer(tmp_path, sizes).run_rounds()
    said = [int(number) for number in re.findall(r": round (\d)/3", capsys.readouterr().err)]
    assert said == sorted(set(said))


@pytest.mark.parametrize("wanted", [True, False])
def test_every_step_is_as_deterministic_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    entered: list[tuple[torch.device, bool]] = []

    @contextmanager
    def noted(device: torch.device, wanted: bool) -> Iterator[None]:
        entered.append((device, wanted))
        yield
        entered.pop()

    class Noting(OneWeight):
        def _step(self, batch: Batch, members: np.ndarray, step: int) -> None:
            during.append(list(entered))
            super()._step(batch, members, step)

    during: list[list[tuple[torch.device, bool]]] = []
    monkeypatch.setattr("chimle.training.base_trainer.deterministic", noted)
    trainer(tmp_path, {"rounds": 2, "deterministic": wanted}, kind=Noting).run_rounds()
    assert during == [[(CPU, wanted)]] * 50


@pytest.mark.parametrize("seconds", [0.5, 4, 12, 33, 60])
def test_the_last_step_before_the_time_is_up_has_a_row(tmp_path: Path, seconds: float) -> None:
    readings = itertools.count()
    run = trainer(tmp_path, {}, seconds=seconds, clock=lambda: float(next(readings)))
    run.run_rounds()
    position = run.state.position
    steps = [row[0] for row in position.history]
    assert steps[-1] == position.round * 25 + position.step > 0
    assert steps == sorted(set(steps))


def test_a_run_whose_time_was_up_before_its_first_step_takes_one(tmp_path: Path) -> None:
    killed = trainer(tmp_path, {}, seconds=5)
    killed.state.position.seconds = 9.0
    killed.state.save(killed.state_file)  # As after a search that took all the time.
    for _ in range(2):
        run = trainer(tmp_path, {}, seconds=5)
        run.run_rounds()
        assert [row[0] for row in run.state.position.history] == [1]
