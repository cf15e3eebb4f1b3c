"""Commands end with their flow, stream their output, and fail in three ways."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from chimle.errors import TransientError, UserError
from chimle.training.run_lock import LOCK, run_lock
from flows import stall
from flows.command import CommandError, Commands, failure
from flows.project import done_by, noting_stages
from flows.stall import StallLimit, StallWatch
from tests.support.helpers import ROOT
from tests.support.projects import write_project
from tests.support.servers import free_port
from tests.support.waiting import wait_until

SLEEPER = "import subprocess, sys; print('begun', flush=True); subprocess.run(['sleep', '600'])"


def script(path: Path, body: str) -> str:
    path.write_text(textwrap.dedent(body))
    return str(path)


def sleepers(mark: Path) -> list[psutil.Process]:
    """Living processes in a directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(mark) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_lines_arrive_while_the_command_runs(tmp_path: Path) -> None:
    """It says its next line once the one before has been heard."""
    heard: list[str] = []
    body = f"""
        import pathlib, time
        for number in range(3):
            print(number, flush=True)
            while not pathlib.Path({str(tmp_path)!r}, str(number)).exists():
                time.sleep(0.01)
        """

    def say(line: str) -> None:
        heard.append(line)
        (tmp_path / line).touch()

    command = [sys.executable, script(tmp_path / "c.py", body)]
    assert Commands(tmp_path).run(command, tmp_path, say) == "0\n1\n2"
    assert heard == ["0", "1", "2"]


def test_a_run_that_another_process_computes_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "state" / LOCK
    body = f"""
        from pathlib import Path
        from chimle.training.run_lock import run_lock
        with run_lock(Path({str(lock)!r}), "a run"):
            print("computed")
    """
    command = [sys.executable, script(tmp_path / "c.py", body)]
    with ExitStack() as held:
        held.enter_context(run_lock(lock, "a run"))

        def say(line: str) -> None:
            if line.endswith("waiting"):
                held.close()

        tail = Commands(tmp_path).run(command, tmp_path, say, env={"PYTHONPATH": str(ROOT)})
    assert tail.splitlines()[1:] == ["computed"]


def test_a_killed_parent_leaves_no_descendant(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    parent = script(
        tmp_path / "parent.py",
        f"""
        import pathlib, sys
        sys.path.insert(0, {str(ROOT)!r})
        from flows.command import Commands
        place = pathlib.Path({str(work)!r})
        Commands(place).run([sys.executable, "-c", {SLEEPER!r}], place, print)
        """,
    )
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    process = subprocess.Popen([sys.executable, parent], start_new_session=True)
    wait_until(lambda: any("sleep" in p.name() for p in sleepers(work)))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not sleepers(work), 120)


def test_stop_ends_what_runs_and_starts_no_more(tmp_path: Path) -> None:
    commands, caught = Commands(tmp_path), []

    def run() -> None:
        try:
            commands.run([sys.executable, "-c", SLEEPER], tmp_path, lambda _line: None)
        except CommandError as error:
            caught.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: any("sleep" in p.name() for p in sleepers(tmp_path)))
    commands.stop()
    thread.join(120)
    assert "is being stopped" in caught[0]
    assert not sleepers(tmp_path)
    with pytest.raises(CommandError, match="being stopped"):
        commands.run(["true"], tmp_path, print)


def test_stop_ends_every_command_while_others_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands, ended = Commands(tmp_path), threading.Event()

    def run() -> None:
        with contextlib.suppress(CommandError):
            commands.run([sys.executable, "-c", SLEEPER], tmp_path, lambda _line: None)
        ended.set()

    def terminate(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        ended.wait(1)  # Time for its thread to forget it before the next one's turn.

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum("sleep" in p.name() for p in sleepers(tmp_path)) == len(threads))
    monkeypatch.setattr(subprocess.Popen, "terminate", terminate)
    try:
        commands.stop()
    finally:
        monkeypatch.undo()
        for process in sleepers(tmp_path):
            process.kill()
        for thread in threads:
            thread.join(120)
    assert not sleepers(tmp_path)


def test_a_command_without_progress_is_ended(tmp_path: Path) -> None:
    states = tmp_path / "states"
    states.mkdir()
    # It prints nothing, but writes states for longer than the limit; then it is stopped, as a
    # debugger would.
    body = f"""
        import os, pathlib, signal, time
        for number in range(24):
            time.sleep(0.25)
            pathlib.Path({str(states)!r}, str(number)).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
        """
    command = [sys.executable, script(tmp_path / "c.py", body)]
    with pytest.raises(TransientError, match="no progress for 5s"):
        Commands(tmp_path).run(command, tmp_path, print, stall=StallLimit(5, states))
    assert len(list(states.iterdir())) == 24
    assert not sleepers(tmp_path)


def test_a_clock_that_is_set_stalls_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does a machine that slept; a state of a clock that is ahead is progress once."""
    (tmp_path / "state").touch()
    os.utime(tmp_path / "state", (2**33, 2**33))
    elapsed, readings, days, ended = 0.0, 0, itertools.count(1), threading.Event()

    def monotonic() -> float:
        nonlocal readings
        readings += 1
        return elapsed

    clock = SimpleNamespace(monotonic=monotonic, time=lambda: 86_400.0 * (20_000 + next(days)))
    monkeypatch.setattr(stall, "time", clock)
    watch = StallWatch(StallLimit(1.5, tmp_path), ended.set)
    with watch.running():
        elapsed = 1.4
        before = readings
        wait_until(lambda: ended.is_set() or readings > before + 3)
        assert not ended.is_set()
        elapsed = 1.6
        assert ended.wait(60)
    assert watch.stalled


def test_a_child_that_its_own_parent_left_is_ended(tmp_path: Path) -> None:
    body = "import subprocess; subprocess.Popen(['sleep', '600'])"
    Commands(tmp_path).run([sys.executable, "-c", body], tmp_path, print)
    assert not sleepers(tmp_path)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("error: params.yaml: seed\nERROR: failed to reproduce 'x': exited with 2", UserError),
        ("ERROR: failed to reproduce 'train@x': failed to run: exited with -9", TransientError),
        ("ERROR: failed to reproduce 'train@x': failed to run: exited with 137", TransientError),
        ("ERROR: Unable to acquire lock. Most likely another DVC", TransientError),
        ("ERROR: 'data/pairs' is busy, it is being written", TransientError),
        ("ERROR: unexpected error - An error occurred (503) when calling", TransientError),
        ("ERROR: An error occurred (InternalError) when calling PutObject", TransientError),
        ("fatal: unable to access: Could not resolve host: example.org", TransientError),
        ("fatal: unable to access: Failed to connect to example.org port 443", TransientError),
        ("fatal: unable to access: Couldn't connect to server", TransientError),
        ("ssh: connect to host example.org port 22: Network is unreachable", TransientError),
        ("Connection closed by remote host\nfatal: Could not read from remote", TransientError),
        ("fatal: unable to access: The requested URL returned error: 503", TransientError),
        ("error: RPC failed; curl 56 Recv failure: Connection was reset", TransientError),
        ("fatal: the remote end hung up unexpectedly", TransientError),
        ("fatal: unable to access: The requested URL returned error: 403", CommandError),
        ("fatal: Authentication failed for 'https://example.org/x'", CommandError),
        ("fatal: repository 'https://example.org/x' not found", CommandError),
        ("ERROR: failed to reproduce 'train@x': failed to run: exited with 1", CommandError),
        ("ERROR: unexpected error - An error occurred (403) when calling", CommandError),
        ("fatal: Unable to create '/x/.git/index.lock': File exists.", TransientError),
        # What DVC prints after each stage that has run, and lines of source in a traceback.
        ("Updating lock file 'dvc.lock'\nERROR: failed to reproduce: exited with 1", CommandError),
        ("Generating lock file 'dvc.lock'\nERROR: failed to run: exited with 1", CommandError),
        (
            '  File "a.py", line 1\n    get(timeout=5)\nKeyError: 1\nERROR: exited with 1',
            CommandError,
        ),
    ],
)
def test_failures_are_classified(output: str, kind: type[Exception]) -> None:
    found = failure(1, output)
    assert type(found) is kind
    assert "\n" not in str(found)


def test_a_source_that_is_away_is_worth_another_attempt(tmp_path: Path) -> None:
    """Its own attempts last half a minute; those of a run last minutes."""
    address = f"http://127.0.0.1:{free_port()}/a.tar"
    source = {"kind": "url", "archives": [address], "retries": 0}
    write_project(tmp_path, {"colourization": {"source": source}})
    check = [sys.executable, "-m", "stages.check", "colourization", "--root", str(tmp_path)]
    with pytest.raises(TransientError, match=r"^http.* cannot be fetched .*connection refused"):
        Commands(tmp_path).run(check, ROOT, print)
    assert type(failure(2, "error: a.tar cannot be fetched (the server answers 404)")) is UserError
    through_dvc = (
        "error: a.tar (no connection): try again later\nERROR: failed to run: exited with 2"
    )
    assert type(failure(255, through_dvc)) is TransientError


def test_missing_credentials_are_named() -> None:
    found = failure(255, "ERROR: unexpected error - Unable to locate credentials\n")
    assert type(found) is UserError
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" in str(found)


@pytest.mark.parametrize(
    ("lines", "did"),
    [
        (["Running stage 'train@a':", "Running stage 'evaluate@a':"], "trained and evaluated"),
        (["Stage 'train@a' is cached", "Running stage 'evaluate@a':"], "evaluated"),
        (["Running stage 'pair@a':", "Stage 'train@a' is cached - skipping run"], "restored"),
        (["Stage 'train@a' didn't change, skipping"], "restored"),
    ],
)
def test_what_was_restored_is_not_called_trained(lines: list[str], did: str) -> None:
    ran: set[str] = set()
    heard: list[str] = []
    for line in lines:
        noting_stages(ran, heard.append)(line)
    assert heard == lines
    assert done_by(ran) == did


def test_bad_input_is_the_stage_s_own_sentence() -> None:
    output = "error: params.yaml: seed: no number\nERROR: failed to reproduce 'x': exited with 2"
    assert str(failure(1, output)) == "params.yaml: seed: no number"
