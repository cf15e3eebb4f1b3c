"""What differs between ranks, their clocks, memory and files, is decided once for all."""

import datetime
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
)
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.training import imle_trainer
from chimle.training.distributed import Ranks
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer


def _join(rank: int, folder: str) -> Ranks:
    """One of two ranks, each in a process of its own."""
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=300),
    )
    return Ranks(rank, 2)


def _spawn(work: Any, folder: Path) -> None:
    """Run `work(rank, folder)` in two processes; raises what one of them raises."""
    start_processes: Any = torch.multiprocessing.start_processes  # type: ignore[attr-defined]
    start_processes(work, (str(folder),), nprocs=2, start_method="spawn")


def _trainer(ranks: Ranks, folder: str, **execution: Any) -> ImleTrainer:
    """A small run of two ranks, whose learning rate follows the time."""
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"rounds": 2, "images_per_round": 8, "batch_size": 4, "steps_per_round": 7}
    values["train"] |= {"schedule": "cosine", "checkpoint_seconds": 0}
    return ImleTrainer(
        build_settings(ModelSettings, values, "a test"),
        known_pairs(Layout.COARSE, 8, 0),
        PixelDistance(),
        Execution(Path(folder, "state.pt"), torch.device("cpu"), ranks=ranks, **execution),
    )


def _train_for_a_time(rank: int, folder: str) -> None:
    """Train until the time is up; the second rank's clock is four times as fast."""
    ranks, readings = _join(rank, folder), itertools.count()
    trainer = _trainer(ranks, folder, seconds=40.0, clock=lambda: next(readings) * (1.0 + 3 * rank))
    trained, position = trainer.run(), trainer.state.position
    found = {
        "steps": torch.tensor([position.round, position.step]),
        "weights": torch.cat([p.flatten() for p in trained.tower.parameters()]),
    }
    torch.save(found, Path(folder, f"{rank}.pt"))
    torch.distributed.destroy_process_group()


def test_ranks_whose_clocks_differ_learn_and_end_together(tmp_path: Path) -> None:
    _spawn(_train_for_a_time, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first["steps"][0] >= 2
    assert torch.equal(first["steps"], second["steps"])
    assert torch.equal(first["weights"], second["weights"])


def _keep_features(rank: int, folder: str) -> None:
    """Train where the second rank has memory for the targets' features and the first has none."""
    ranks = _join(rank, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imle_trainer, "feature_cache_bytes", lambda _: rank * 2**30)
        _trainer(ranks, folder).run()
    torch.distributed.destroy_process_group()


def test_ranks_with_other_memory_free_keep_features_together_or_not_at_all(tmp_path: Path) -> None:
    _spawn(_keep_features, tmp_path)


def _disagree(rank: int, folder: str) -> None:
    """A rank whose position differs from the other's."""
    ranks = _join(rank, folder)
    ranks.check_same(torch.tensor([3, 7]))
    with pytest.raises(UserError, match="file system that all of them share"):
        ranks.check_same(torch.tensor([3, 7 * rank]))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_that_read_different_states_stop(tmp_path: Path) -> None:
    _spawn(_disagree, tmp_path)
