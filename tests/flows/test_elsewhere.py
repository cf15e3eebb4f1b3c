"""Without a server, and between machines that share nothing but a DVC remote on S3."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import psutil
import pytest

from chimle.io.file_locks import locked
from flows.worktrees import training_key
from tests.support.repositories import TASKS, environment, outputs, run, stages_run, tiny_repository
from tests.support.servers import CREDENTIALS, free_port, s3_server
from tests.support.stack import FAST, add_flows
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]
TASK = TASKS[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with one bucket; Prefect has a new home and no server."""
    home = {"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), **FAST}
    with s3_server() as address, pytest.MonkeyPatch.context() as patch:
        for key, value in {"AWS_ENDPOINT_URL": address, **CREDENTIALS, **home}.items():
            patch.setenv(key, value)
        boto3.client("s3").create_bucket(Bucket="store")
        yield address


@pytest.fixture
def project(store: str, tmp_path: Path) -> Path:
    """A repository whose DVC remote is the bucket."""
    root = tiny_repository(tmp_path / "project")
    run(root, "dvc", "remote", "add", "store", f"s3://store/{tmp_path.name}")
    run(root, "dvc", "remote", "modify", "store", "endpointurl", store)
    add_flows(root)
    return root


def flow(root: Path, *words: str, check: bool = True) -> str:
    return run(root, "python", "-m", "flows", *words, check=check)


def test_another_machine_trains_and_the_first_restores(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other-machine"
    run(tmp_path, "git", "clone", "-q", str(project), str(other))
    output = flow(other, "train", f"task={TASK}", "dvc_remote=store")
    assert f"Running stage 'train@{TASK}'" in output
    assert "Trained and evaluated" in output
    for clone in (other, project):
        assert run(clone, "git", "status", "--porcelain") == ""
    assert not (project / ".dvc" / "cache").exists()
    third = tmp_path / "third-machine"
    run(tmp_path, "git", "clone", "-q", str(project), str(third))
    output = flow(third, "train", f"task={TASK}", "dvc_remote=store")
    assert f"Restored {TASK} at" in output
    assert "Trained" not in output
    output = flow(project, "pipeline", f'tasks=["{TASK}"]', "dvc_remote=store")
    assert not stages_run(output)
    results = run(project, "git", "for-each-ref", "--format=%(refname)", "refs/chimle/results")
    restored = outputs(run(project, "git", "show", f"{results.strip()}:dvc.lock"))
    run(other, "dvc", "repro", f"evaluate@{TASK}")
    assert restored == outputs((other / "dvc.lock").read_text())


def test_evaluate_alone_never_trains_and_says_what_is_missing(project: Path) -> None:
    missing = flow(project, "evaluate", f"task={TASK}", check=False)
    assert f"error: the model and the pairs of {TASK} at " in missing
    assert "Traceback" not in missing
    assert "stages.train" not in missing
    run(project, "dvc", "repro", f"train@{TASK}")
    run(project, "git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run(project, "git", *identity, "commit", "-qm", "model")
    output = flow(project, "evaluate", f"task={TASK}")
    assert f"Evaluated {TASK}" in output
    assert "Running stage 'train" not in output


def test_a_git_remote_that_is_away_at_the_start_is_waited_for(
    project: Path, tmp_path: Path
) -> None:
    port = free_port()
    run(project, "git", "remote", "add", "origin", f"git://127.0.0.1:{port}/project/.git")
    add_flows(project, retry={"delays_seconds": [3] * 20})
    words = ["-m", "flows", "train", f"task={TASK}", "git_remote=origin", "revision=no-such"]
    started = subprocess.Popen(
        [sys.executable, *words],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert started.stdout is not None
    lines = []
    for line in started.stdout:
        lines.append(line)
        if "retry" in line.lower():
            break
    options = ["--export-all", f"--base-path={tmp_path}", f"--port={port}", "--listen=127.0.0.1"]
    daemon = subprocess.Popen(["git", "daemon", "--reuseaddr", *options])
    try:
        rest = started.communicate(timeout=300)[0]
    finally:
        daemon.terminate()
        daemon.wait()
    # It was fetched: what follows is looked up.
    assert "`no-such` names no commit" in rest, "".join(lines) + rest


def test_a_remote_that_stays_away_is_one_sentence(project: Path) -> None:
    address = f"git://127.0.0.1:{free_port()}/x"
    run(project, "git", "remote", "add", "origin", address)
    add_flows(project, retry={"delays_seconds": [0]})
    said = flow(project, "train", f"task={TASK}", "git_remote=origin", check=False)
    ended = next(line for line in said.splitlines() if line.startswith("error: "))
    assert ended.startswith(f"error: git fetch in {project}: fatal: unable to connect")
    assert "Retry 1/1" in said
    assert "Traceback" not in said


def trainings_of(flow: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The training that a flow has started, without DVC and the shell above it."""
    found = []
    for child in psutil.Process(flow.pid).children(recursive=True):
        with suppress(psutil.Error):  # It has ended meanwhile.
            if child.cmdline()[1:3] == ["-m", "stages.train"]:
                found.append(child)
    return found


def wait_for_line(process: subprocess.Popen[bytes], log: Path, text: str) -> None:
    """Wait until a running process has printed a text."""
    wait_until(lambda: text in log.read_text() or process.poll() is not None, 900)
    assert process.poll() is None, log.read_text()


def test_a_stopped_training_goes_on_and_is_not_trained_twice(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path / "project", {"rounds": 30})
    add_flows(root, retry={"delays_seconds": [1] * 5, "stall_seconds": 50})
    command = [sys.executable, "-m", "flows", "train", f"task={TASK}"]
    logs, both = [tmp_path / "one", tmp_path / "other"], []
    # Both wait for the lock of this training; then one of them waits for the other.
    with locked(root / "scratch" / "locks" / f"{TASK}-{training_key(root, TASK)}.lock"):
        for log in logs:
            env = {**environment(root), "PREFECT_HOME": str(tmp_path / f"prefect-{log.name}")}
            with log.open("w") as output:
                started = subprocess.Popen(command, cwd=root, env=env, stdout=output, stderr=output)
            both.append(started)
        waits = f"another run trains {TASK} from the same code and parameters: waiting for it"
        for process, log in zip(both, logs, strict=True):
            wait_for_line(process, log, waits)
    states = root / "scratch" / "train" / TASK
    wait_until(lambda: list(states.glob("*/state.pt")), 300)
    (training,) = [training for process in both for training in trainings_of(process)]
    training.suspend()
    assert [process.wait(900) for process in both] == [0, 0]
    said = "".join(log.read_text() for log in logs)
    assert "no progress for 50s" in said
    assert "continues from round" in said
    # The line of a round that was kept just before the training was stopped may be missing.
    rounds = re.findall(rf"{TASK}: round (\d+)/30", said)
    assert len(rounds) == len(set(rounds))
    assert "30" in rounds


def test_a_bad_parameter_is_one_sentence_and_exit_code_two(project: Path) -> None:
    bad = flow(project, "train", "task=nothing", check=False)
    last = [line for line in bad.splitlines() if line.startswith("error: ")]
    assert len(last) == 1
    assert "task" in last[0]
    assert "Traceback" not in bad
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in bad
