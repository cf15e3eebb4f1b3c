"""Several ranks train like one process: the same codes, the same losses up to rounding.

With two micro-batches, one process and two give the same bits, however long they train.
"""

import itertools
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chimle.errors import UserError
from chimle.training.distributed import Ranks
from tests.support.helpers import ROOT
from tests.support.ranks_worker import ROUNDS
from tests.support.waiting import is_alive, wait_until

TOLERANCE = 1e-3
"""Relative difference of losses: gradients are summed in another order."""
LONGEST = 300 + 10 * ROUNDS
"""Seconds that a run may take."""
WORKER = ("-m", "tests.support.ranks_worker")


@given(length=st.integers(0, 50), count=st.integers(1, 9))
def test_every_row_belongs_to_one_rank(length: int, count: int) -> None:
    parts = [range(length)[Ranks(rank, count).shard(length)] for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def start(
    folder: Path, ranks: int, batch_size: int = 6, micro_batches: int = 1, repeat_images: int = 1
) -> subprocess.Popen[str]:
    """Start one process, or several ranks under torchrun."""
    folder.mkdir(exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command = [sys.executable, "-W", "ignore", *(torchrun if ranks > 1 else []), *WORKER]
    return subprocess.Popen(
        [*command, str(folder), *map(str, (batch_size, micro_batches, repeat_images))],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def results(
    folder: Path, ranks: int, micro_batches: int = 1, repeat_images: int = 1
) -> list[dict[str, torch.Tensor]]:
    """Results of each rank, after the run has ended."""
    process = start(folder, ranks, micro_batches=micro_batches, repeat_images=repeat_images)
    _, errors = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(ranks)]


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return results(tmp_path_factory.mktemp("one_rank"), 1)[0]


def test_two_ranks_choose_and_learn_like_one(
    tmp_path: Path, one_rank: dict[str, torch.Tensor]
) -> None:
    first, second = results(tmp_path, 2)
    assert one_rank["choices"].shape == (ROUNDS, 9, 2)
    for name in first:
        assert torch.equal(first[name], second[name])
    assert torch.equal(first["choices"], one_rank["choices"])
    torch.testing.assert_close(first["losses"], one_rank["losses"], rtol=TOLERANCE, atol=1e-6)


@pytest.fixture(scope="module")
def one_rank_in_parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return results(tmp_path_factory.mktemp("one_rank"), 1, micro_batches=2)[0]


def test_micro_batches_learn_like_a_whole_step(
    one_rank: dict[str, torch.Tensor], one_rank_in_parts: dict[str, torch.Tensor]
) -> None:
    assert torch.equal(one_rank_in_parts["choices"], one_rank["choices"])
    losses = one_rank_in_parts["losses"], one_rank["losses"]
    torch.testing.assert_close(*losses, rtol=TOLERANCE, atol=1e-6)


def test_two_ranks_give_the_bits_of_one_that_computes_two_micro_batches(
    tmp_path: Path, one_rank_in_parts: dict[str, torch.Tensor]
) -> None:
    for found in results(tmp_path, 2, micro_batches=2):
        assert found.keys() == one_rank_in_parts.keys()
        assert all(torch.equal(found[name], one_rank_in_parts[name]) for name in found)


def test_two_ranks_search_again_for_the_same_images_as_one(tmp_path: Path) -> None:
    alone, *both = (
        found
        for ranks in (1, 2)
        for found in results(tmp_path / str(ranks), ranks, micro_batches=2, repeat_images=ROUNDS)
    )
    kept = (alone["choices"][1:] == alone["choices"][:-1]).all(dim=2)
    assert kept.any(), "no code was kept"
    assert not kept.all(), "no code was searched again"
    for found in both:
        assert all(torch.equal(found[name], alone[name]) for name in found)


@given(
    size=st.integers(1, 40),
    micro_batches=st.integers(1, 8),
    count=st.integers(1, 8),
    more=st.integers(0, 3),
)
def test_a_step_is_split_equally_or_refused(
    size: int, micro_batches: int, count: int, more: int
) -> None:
    ranks = Ranks(0, count)
    equal = size % micro_batches == 0 and size % count == 0
    if equal and (micro_batches == 1 or micro_batches % count == 0):
        ranks.check_batch(size, micro_batches, size + more)
        assert size // count % max(1, micro_batches // count) == 0
    else:
        with pytest.raises(UserError, match=r"`train\.(batch_size|micro_batches)`") as refused:
            ranks.check_batch(size, micro_batches, size + more)
        if "`train.batch_size`" in str(refused.value):
            assert (f"at most {size}, as" in str(refused.value)) == (more > 0)


def wait_for_states(folder: Path, process: subprocess.Popen[str], count: int) -> bool:
    """Wait until a run has written so many states; False where it ends before."""
    state, seen = folder / "state.pt", set()
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if state.exists():
            seen.add(state.stat().st_mtime_ns)
        if len(seen) > count:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    raise AssertionError("no state was written in 300 seconds")


def is_rank(process: psutil.Process) -> bool:
    try:
        return WORKER[-1] in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def kill_one_rank(process: subprocess.Popen[str], folder: Path) -> None:
    """SIGKILL to a rank; torchrun ends the others. The run may end by itself just before."""
    torchrun = psutil.Process(process.pid)
    processes = torchrun.children(recursive=True)
    with suppress(psutil.NoSuchProcess):
        [torchrun, *filter(is_rank, processes)][-1].kill()
    process.communicate(timeout=LONGEST)
    assert process.returncode != 0 or (folder / "0.pt").exists()
    wait_until(lambda: not any(map(is_alive, processes)))


def test_ranks_end_when_torchrun_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would hold the lock of the run."""
    monkeypatch.setenv("CHIMLE_RANK_ROUNDS", "100000")
    process = start(tmp_path, 2)
    assert wait_for_states(tmp_path, process, 1)
    ranks = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    _, left = psutil.wait_procs(ranks, timeout=60)
    for rank in left:
        rank.kill()
    process.communicate(timeout=120)
    assert not left


def killed_and_resumed(
    folder: Path, ranks: tuple[int, ...], micro_batches: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Choices and results of a run that was killed and resumed, by those numbers in turn.

    It is killed once; with more rounds (`CHIMLE_RANK_ROUNDS`) every five rounds.
    """
    numbers, moments = itertools.cycle(ranks), random.Random(5)
    for _ in range(max(1, ROUNDS // 5)):
        process = start(folder, next(numbers), micro_batches=micro_batches)
        if wait_for_states(folder, process, moments.randint(1, 8 * min(ROUNDS // 3, 5))):
            kill_one_rank(process, folder)
    process = start(folder, next(numbers), micro_batches=micro_batches)
    _, errors = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, errors
    assert "continues from round" in errors
    choices = torch.stack([torch.load(folder / f"round_{n}.pt") for n in range(ROUNDS)])
    return choices, torch.load(folder / "0.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.timeout(600 + 60 * ROUNDS)
def test_a_killed_run_resumes_with_another_number_of_ranks(
    tmp_path: Path, one_rank: dict[str, torch.Tensor]
) -> None:
    choices, resumed = killed_and_resumed(tmp_path, (2, 1, 3), micro_batches=1)
    assert torch.equal(choices, one_rank["choices"])
    torch.testing.assert_close(resumed["losses"], one_rank["losses"], rtol=TOLERANCE, atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(600 + 60 * ROUNDS)
def test_a_killed_run_of_micro_batches_resumes_to_the_same_bits(
    tmp_path: Path, one_rank_in_parts: dict[str, torch.Tensor]
) -> None:
    choices, resumed = killed_and_resumed(tmp_path, (2, 1), micro_batches=2)
    assert torch.equal(choices, one_rank_in_parts["choices"])
    for name in ("losses", "weights"):
        assert torch.equal(resumed[name], one_rank_in_parts[name])


@pytest.mark.slow
def test_a_batch_size_that_ranks_do_not_divide_is_reported(tmp_path: Path) -> None:
    process = start(tmp_path, 2, batch_size=5)
    _, errors = process.communicate(timeout=LONGEST)
    assert process.returncode != 0
    assert "make `train.batch_size` a multiple of 2" in errors
    assert "chimle/training" not in errors  # The only traceback is torchrun's own.
