"""Training resumes to the same bits after a SIGKILL, and stops at a loss that is not finite."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.data.pair.make_pairs import make_pairs
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from stages import train as stage
from tests.support.helpers import ROOT
from tests.support.in_process import in_process
from tests.support.projects import TINY, write_photographs, write_project

TASK = "decompression"


def make_project(root: Path, **train: object) -> Path:
    preset = {**TINY, "train": {**TINY["train"], **train}}
    write_photographs(root / "photos")
    write_project(root, {TASK: {"source": {"kind": "folder", "path": "photos"}}}, preset)
    settings = load_settings(RunSettings, TASK, root)
    fetch(settings, root, root / "data" / "raw" / TASK)
    make_pairs(
        settings, root / "data" / "raw" / TASK, root / "data" / "pairs" / TASK, root / "scratch"
    )
    return root


def start(root: Path, code: Path = ROOT) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(code)}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "stages.train", TASK, "--root", str(root)],
        cwd=code,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the same in this process."""
    return in_process(stage.command, TASK, "--root", root)


def outputs(root: Path) -> dict[str, bytes]:
    files = [*(root / "models" / TASK).iterdir(), root / "curves" / f"{TASK}.csv"]
    return {path.name: path.read_bytes() for path in files}


def save_times(root: Path) -> list[float]:
    """Modification time of the run's state; empty before the first write."""
    states = root.glob(f"scratch/train/{TASK}/*/state.pt")
    return [state.stat().st_mtime_ns for state in states]


def killed_after(root: Path, changes: int, code: Path = ROOT) -> bool:
    """Start a run and kill it after so many writes of its state; False if it ended before."""
    process, before = start(root, code), save_times(root)
    while changes:
        if process.poll() is not None:
            return False
        now = save_times(root)
        changes -= now != before
        before = now
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def kill_after(root: Path, changes: int, code: Path = ROOT) -> None:
    """The same until it was killed; what a run that ended before has made goes."""
    while not killed_after(root, changes, code):
        for name in ("models", "curves", "scratch/train"):
            shutil.rmtree(root / name)


@pytest.mark.slow
def test_sigkill_at_any_moment_does_not_change_the_result(tmp_path: Path) -> None:
    reference = make_project(tmp_path / "reference")
    _, errors = (process := start(reference)).communicate()
    assert process.returncode == 0, errors
    killed = make_project(tmp_path / "killed")
    moments = random.Random(7)
    for _ in range(2):
        kill_after(killed, moments.randint(1, 4))
    _, errors = (process := start(killed)).communicate()
    assert process.returncode == 0
    assert "continues from" in errors
    assert outputs(killed) == outputs(reference)


def test_a_finished_run_is_restored_and_removed_when_another_begins(
    tmp_path: Path,
) -> None:
    root = make_project(tmp_path, steps_per_round=3)
    assert train(root).returncode == 0
    first, (state,) = outputs(root), (root / "scratch" / "train" / TASK).iterdir()
    shutil.rmtree(root / "models")
    done = train(root)
    assert done.returncode == 0
    assert "round 1/" not in done.stderr
    assert outputs(root) == first
    assert state.exists()
    make_project(tmp_path, steps_per_round=4)
    assert train(root).returncode == 0
    (other,) = (root / "scratch" / "train" / TASK).iterdir()
    assert other != state
    assert outputs(root) != first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "resumes"),
    [
        (("chimle/io/http.py", "chimle/baselines/tables.py", "stages/evaluate.py"), True),
        (("chimle/search/hierarchical.py",), False),
    ],
    ids=["files that training does not import", "a file that training imports"],
)
def test_only_the_code_of_training_keys_its_state(
    tmp_path: Path, changed: tuple[str, ...], resumes: bool
) -> None:
    """The code is a copy that is edited between a kill and the next run."""
    code, root = tmp_path / "code", make_project(tmp_path / "project", rounds=3)
    for name in ("chimle", "stages"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    kill_after(root, 3, code)
    for name in changed:
        with (code / name).open("a") as file:
            file.write("# A typo is fixed.\n")
    _, errors = (process := start(root, code)).communicate()
    assert process.returncode == 0, errors
    assert ("continues from" in errors) is resumes


def test_a_state_with_another_key_is_never_read(tmp_path: Path) -> None:
    root = make_project(tmp_path, steps_per_round=3)
    other_state = root / "scratch" / "train" / TASK / "0123456789abcdef" / "state.pt"
    other_state.parent.mkdir(parents=True)
    other_state.write_bytes(b"a state of another run")
    done = train(root)
    assert done.returncode == 0, done.stderr
    assert other_state.read_bytes() == b"a state of another run"


@pytest.mark.parametrize("rate", [1e30])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, rate: float) -> None:
    root = make_project(tmp_path, learning_rate=rate, steps_per_round=20)
    done = train(root)
    assert done.returncode == 2
    assert "the loss became" in done.stderr
    assert "learning_rate" in done.stderr
    assert "Traceback" not in done.stderr
    state = next((root / "scratch" / "train" / TASK).glob("*/state.pt"))
    assert state.stat().st_size > 0
    assert not (root / "models").exists()
