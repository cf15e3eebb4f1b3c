"""Two nights in a row, each with four faults, give the hashes of undisturbed runs.

Ten minutes and more: `CHIMLE_NIGHTS=2 pytest tests/flows/test_two_nights.py`.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.repositories import TASKS, commit, outputs, run, set_parameter, tiny_repository
from tests.support.servers import free_port
from tests.support.stack import Stack, add_flows, check_never_from_zero, serving
from tests.support.waiting import wait_until

NIGHTS = int(os.environ.get("CHIMLE_NIGHTS", "0"))
AWAY_SECONDS = 60
TASK = TASKS[1]

pytestmark = [
    pytest.mark.timeout(5400),
    pytest.mark.slow,
    pytest.mark.skipif(not NIGHTS, reason="takes ten minutes and more: set CHIMLE_NIGHTS=2"),
]


@contextmanager
def git_daemon(base: Path, port: int) -> Iterator[None]:
    """The Git remote, while it is not away."""
    options = ["--export-all", f"--base-path={base}", f"--port={port}", "--listen=127.0.0.1"]
    daemon = subprocess.Popen(["git", "daemon", "--reuseaddr", *options])
    try:
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def trainings(stack: Stack) -> list[psutil.Process]:
    """Trainings that have kept a state since they began."""
    states = list((stack.root / "scratch" / "train").glob("*/*/state.pt"))
    newest = max((state.stat().st_mtime for state in states), default=0.0)
    found = stack.processes("stages.train")
    return [each for each in found if each.name().startswith("python") and is_own(each, newest)]


def is_own(process: psutil.Process, newest: float) -> bool:
    """Whether it is no guard or DVC, but the training, and began before the newest state."""
    try:
        line = process.cmdline()
        return bool(line[1:3] == ["-m", "stages.train"] and process.create_time() < newest)
    except psutil.Error:
        return False


def disturb(stack: Stack, running: str) -> None:
    """Stop the training, kill the worker and the server; all three come back."""
    training = wait_until(lambda: trainings(stack), 900)[0]
    training.suspend()
    for words in (("prefect", "worker", "start"), ("flows.prefect_server",)):
        stack.only_process(*words).kill()
    wait_until(lambda: not training.is_running(), 300)
    stack.wait_log(running, "no progress for", 600)


def undisturbed(root: Path, clone: Path, revision: str) -> dict[str, str]:
    """Outputs of a serial `dvc repro` in a clone with a cache of its own."""
    run(root, "git", "clone", "-q", str(root), str(clone))
    run(clone, "git", "checkout", "-q", revision)
    run(clone, "dvc", "repro", f"evaluate@{TASK}")
    return outputs((clone / "dvc.lock").read_text())


def test_two_nights_with_faults_equal_undisturbed_ones(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path / "project", {"rounds": 40, "steps_per_round": 12})
    retry = {"delays_seconds": [5] * 40, "stall_seconds": 60, "restarts": 5}
    add_flows(root, retry=retry)
    port = free_port()
    run(tmp_path, "git", "clone", "-q", "--bare", str(root), "remote.git")
    run(root, "git", "remote", "add", "origin", f"git://127.0.0.1:{port}/remote.git")
    with serving(root, slots=1) as stack:
        for night in range(1, NIGHTS + 1):
            set_parameter(root, TASK, "train", learning_rate=1e-3 + night * 1e-5)
            revision = commit(root, f"night {night}")
            run(root, "git", "push", "-q", str(tmp_path / "remote.git"), "main")
            options = {"git_remote": "origin", "revision": "origin/main", "tasks": [TASK]}
            begun = time.monotonic()
            running = stack.start("pipeline/nightly", **options)
            stack.wait_log(running, "unable to connect to 127.0.0.1", 600)
            time.sleep(max(0.0, begun + AWAY_SECONDS - time.monotonic()))
            with git_daemon(tmp_path, port):
                disturb(stack, running)
                ended = stack.wait(running, 1800, ("COMPLETED", "FAILED", "CANCELLED"))
            log = stack.log(running)
            assert ended["state"]["type"] == "COMPLETED", log
            assert "continues from round" in log
            check_never_from_zero(log, TASK)
            lock = run(root, "git", "show", f"refs/chimle/results/{revision}:dvc.lock")
            assert outputs(lock) == undisturbed(root, tmp_path / f"serial-{night}", revision)
        wait_until(lambda: stack.slots_taken() == 0, 240)
    assert not stack.processes("stages.")
    assert len(run(root, "git", "worktree", "list").splitlines()) == 1
