"""Several ranks train like one process: the same codes, the same losses up to rounding."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chimle.training.distributed import Ranks
from tests.support.helpers import ROOT
from tests.support.ranks_worker import ROUNDS

TOLERANCE = 1e-3
"""Relative difference of losses: gradients are summed in another order."""
WORKER = ("-m", "tests.support.ranks_worker")


@given(length=st.integers(0, 50), count=st.integers(1, 9))
def test_every_row_belongs_to_one_rank(length: int, count: int) -> None:
    parts = [range(length)[Ranks(rank, count).shard(length)] for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def start(folder: Path, ranks: int, batch_size: int = 6) -> subprocess.Popen[str]:
    """Start one process, or several ranks under torchrun."""
    folder.mkdir(exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command = [sys.executable, "-W", "ignore", *(torchrun if ranks > 1 else []), *WORKER]
    return subprocess.Popen(
        [*command, str(folder), str(batch_size)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def results(folder: Path, ranks: int) -> list[dict[str, torch.Tensor]]:
    """Results of each rank, after the run has ended."""
    _, errors = (process := start(folder, ranks)).communicate(timeout=300)
    assert process.returncode == 0, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(ranks)]


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return results(tmp_path_factory.mktemp("one_rank"), 1)[0]


@pytest.mark.slow
def test_two_ranks_choose_and_learn_like_one(
    tmp_path: Path, one_rank: dict[str, torch.Tensor]
) -> None:
    first, second = results(tmp_path, 2)
    assert one_rank["choices"].shape == (ROUNDS, 9, 2)
    for name in first:
        assert torch.equal(first[name], second[name])
    assert torch.equal(first["choices"], one_rank["choices"])
    torch.testing.assert_close(first["losses"], one_rank["losses"], rtol=TOLERANCE, atol=1e-6)


@pytest.mark.slow
def test_a_killed_rank_ends_all_and_one_rank_resumes(
    tmp_path: Path, one_rank: dict[str, torch.Tensor]
) -> None:
    process = start(tmp_path, 2)
    deadline = time.monotonic() + 120
    while not (tmp_path / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    processes = psutil.Process(process.pid).children(recursive=True)
    ranks = [
        child for child in processes if "tests.support.ranks_worker" in " ".join(child.cmdline())
    ]
    ranks[-1].send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not any(child.is_running() for child in processes)
    _, errors = (process := start(tmp_path, 1)).communicate(timeout=300)
    assert process.returncode == 0
    assert "continues from round" in errors
    resumed = torch.load(tmp_path / "0.pt", weights_only=True)
    torch.testing.assert_close(resumed["losses"], one_rank["losses"], rtol=TOLERANCE, atol=1e-6)


@pytest.mark.slow
def test_a_batch_size_that_ranks_do_not_divide_is_reported(tmp_path: Path) -> None:
    process = start(tmp_path, 2, batch_size=5)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "make `train.batch_size` a multiple of 2" in errors
    assert "chimle/training" not in errors  # The only traceback is torchrun's own.
