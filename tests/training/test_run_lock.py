"""A run is computed by one process at a time; others are refused, or wait for its result."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chimle.errors import UserError
from chimle.io.file_locks import locked
from chimle.training.run_lock import LOCK, WAIT, run_lock
from tests.support.helpers import ROOT
from tests.training.test_training import TASK, make_project, outputs, save_times, start, train

REFUSED = "another process computes this run{}: let it end, or stop it to continue "


def named(process: int) -> str:
    """How a message names a holder, where the system tells whether it still runs."""
    known = Path("/proc/self/stat").exists()
    return f" (process {process} on {socket.gethostname()})" if known else ""


def test_a_run_is_refused_while_a_process_computes_it_and_continued_when_that_is_killed(
    tmp_path: Path,
) -> None:
    root = make_project(tmp_path, rounds=100_000)
    running = start(root)
    while not save_times(root):
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    second = train(root)
    assert second.returncode == 2
    assert second.stderr.startswith(f"error: {TASK}: {REFUSED.format(named(running.pid))}")
    assert second.stderr.count("\n") == 1
    running.send_signal(signal.SIGKILL)
    running.wait()
    (state,) = (root / "scratch" / "train" / TASK).iterdir()
    with run_lock(state / LOCK, TASK):
        assert (state / "state.pt").exists()


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A project whose training is done."""
    root = make_project(tmp_path)
    assert train(root).returncode == 0
    return root


def test_a_run_that_is_waited_for_is_not_computed_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, (state,) = outputs(finished), (finished / "scratch" / "train" / TASK).iterdir()
    shutil.rmtree(finished / "models")
    monkeypatch.setenv(WAIT, "1")
    with run_lock(state / LOCK, TASK):
        waiting = start(finished)
        assert waiting.stdout is not None
        assert waiting.stdout.readline().endswith(f"run{named(os.getpid())}, waiting\n")
        assert not (finished / "models").exists()
    _, said = waiting.communicate()
    assert waiting.returncode == 0, said
    assert "round 1/" not in said
    assert outputs(finished) == first


def test_a_finished_run_in_use_is_not_removed_by_another_one(finished: Path) -> None:
    (state,) = (finished / "scratch" / "train" / TASK).iterdir()
    make_project(finished, steps_per_round=4)
    with run_lock(state / LOCK, TASK):
        assert train(finished).returncode == 0
    assert (state / "state.pt").exists()
    make_project(finished, steps_per_round=5)
    assert train(finished).returncode == 0
    assert not state.exists()


def test_different_runs_do_not_exclude_each_other(tmp_path: Path) -> None:
    with run_lock(tmp_path / "one.lock", "one"), run_lock(tmp_path / "other.lock", "other"):
        refused = pytest.raises(UserError, match="one: another process computes this run")
        with refused, run_lock(tmp_path / "one.lock", "one"):
            pass
        with locked(tmp_path / "other.lock", wait=False) as lock:
            assert lock is None


HOLDER = """
import os, sys, time
from pathlib import Path
from chimle.training.run_lock import run_lock
with run_lock(Path(sys.argv[1]), "one"):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(1000)
    time.sleep(1000)
"""


def refusal(path: Path) -> str:
    """What a second start says."""
    with pytest.raises(UserError) as caught, run_lock(path, "one"):
        pass
    return str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_holder_that_is_gone_is_not_named(tmp_path: Path) -> None:
    """A child that has inherited the lock holds it, when the one that wrote its name is dead."""
    path = tmp_path / "one.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert refusal(path).startswith(f"one: {REFUSED.format(named(holder.pid))}")
            holder.kill()
            holder.wait()
            assert refusal(path).startswith(f"one: {REFUSED.format('')}")
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_note_of_an_earlier_process_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with run_lock(path, "one"):
        note = path.read_text()
    assert path.read_text() == ""
    process, start, host = note.split()
    another = f"{process} {int(start) - 1} {host}\n" if start.isdecimal() else ""
    with locked(path):
        # As after a process of that number, which was killed; another one has the number now.
        for text in ("", another, "damaged", note[:-2], "\0" * 999):
            path.write_text(text)
            assert refusal(path).startswith(f"one: {REFUSED.format('')}")
        path.write_text("12 34 elsewhere\n")
        assert refusal(path).startswith(f"one: {REFUSED.format(' (process 12 on elsewhere)')}")
