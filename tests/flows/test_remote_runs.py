"""Runs of another deployment on a real server: nothing is started twice, a crash is no end."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import httpx
import pytest
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from chimle.errors import TransientError, UserError
from flows import remote_runs
from flows.remote_runs import check_deployment, run_elsewhere
from flows.run_states import AGAIN, AGAIN_PREFIX
from tests.support.helpers import ROOT
from tests.support.servers import free_port
from tests.support.stack import FAST, RetryTransport
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
NAME = "train/elsewhere"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server with one deployment, which no worker runs."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    log_file = home / "log"
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.prefect_server", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **FAST, "PREFECT_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        with httpx.Client(base_url=url, timeout=60, transport=RetryTransport()) as client:
            wait_until(lambda: answers(url) or process.poll() is not None, 300)
            assert process.poll() is None, log_file.read_text()
            flow = client.post("/flows/", json={"name": "train"}).raise_for_status().json()
            made = {"name": "elsewhere", "flow_id": flow["id"]}
            client.post("/deployments/", json=made).raise_for_status()
            with temporary_settings({PREFECT_API_URL: url}):
                yield client
    finally:
        process.terminate()
        process.wait(180)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=60).is_success
    except httpx.TransportError:
        return False


class Call(threading.Thread):
    """A call of `run_elsewhere` in a thread of its own."""

    def __init__(self, key: str) -> None:
        super().__init__(daemon=True)
        self.key = key
        self.state: Any = None
        self.error: Exception | None = None
        self.context = copy_context()  # It holds the settings of Prefect.
        self.start()

    def run(self) -> None:
        try:
            self.state = self.context.run(run_elsewhere, NAME, {}, self.key)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def ended(self) -> Any:
        """The state that it returned."""
        self.join(120)
        assert not self.is_alive()
        assert self.error is None, self.error
        return self.state


def runs(server: httpx.Client, key: str) -> list[str]:
    """The runs that a key has started, the first one first."""
    found = server.post("/flow_runs/filter", json={"sort": "START_TIME_ASC"}).json()
    own = [run for run in found if (run["idempotency_key"] or "").startswith(key)]
    return [run["id"] for run in sorted(own, key=lambda run: run["created"])]


def set_state(server: httpx.Client, run: str, kind: str, name: str, message: str = "") -> None:
    state = {"type": kind, "name": name, "message": message}
    path = f"/flow_runs/{run}/set_state"
    server.post(path, json={"state": state, "force": True}).raise_for_status()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_runs, "_POLL_SECONDS", 0.1)


def begun(server: httpx.Client, key: str, number: int = 1) -> str:
    """The newest run that a key has started, once there are so many."""
    run: str = wait_until(lambda: runs(server, key)[number - 1 : number], 120)[0]
    set_state(server, run, "RUNNING", "Running")
    return run


def test_a_crashed_run_that_starts_again_is_waited_for(server: httpx.Client) -> None:
    key = uuid.uuid4().hex
    call = Call(key)
    run = begun(server, key)
    set_state(server, run, "CRASHED", "Crashed", "exit code -9")
    time.sleep(1)
    assert call.is_alive()
    set_state(server, run, "SCHEDULED", AGAIN, f"{AGAIN_PREFIX}crashed.")
    set_state(server, run, "RUNNING", "Running")
    set_state(server, run, "COMPLETED", "Completed")
    assert call.ended().is_completed()
    assert runs(server, key) == [run]


def test_a_run_that_stays_crashed_has_ended(
    server: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_runs, "RESTART", remote_runs.RESTART / 1000)
    key = uuid.uuid4().hex
    call = Call(key)
    set_state(server, begun(server, key), "CRASHED", "Crashed", "exit code -9")
    assert call.ended().is_crashed()
    again = Call(key)
    set_state(server, begun(server, key, 2), "COMPLETED", "Completed")
    assert again.ended().is_completed()


def test_a_pipeline_that_starts_again_takes_up_its_runs(server: httpx.Client) -> None:
    key = uuid.uuid4().hex
    first = Call(key)
    run = begun(server, key)
    second = Call(key)
    time.sleep(1)
    assert runs(server, key) == [run]
    set_state(server, run, "COMPLETED", "Completed")
    for call in (first, second, Call(key)):
        assert call.ended().is_completed()
    assert runs(server, key) == [run]


def test_a_run_that_failed_before_is_followed_by_another(server: httpx.Client) -> None:
    key = uuid.uuid4().hex
    first = Call(key)
    set_state(server, begun(server, key), "FAILED", "Failed", "no such file")
    assert first.ended().message == "no such file"
    second = Call(key)
    set_state(server, begun(server, key, 2), "FAILED", "Failed", "no such file either")
    assert second.ended().message == "no such file either"


def test_a_run_that_fails_at_once_is_not_followed_by_another(
    server: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid.uuid4().hex
    ends = iter((("FAILED", "Failed"), ("COMPLETED", "Completed")))

    def ended_at_once(*arguments: Any, **options: Any) -> Any:
        started: Any = run_deployment(*arguments, **options)
        set_state(server, str(started.id), *next(ends))
        return started

    monkeypatch.setattr(remote_runs, "run_deployment", ended_at_once)
    assert run_elsewhere(NAME, {}, key).is_failed()
    assert len(runs(server, key)) == 1


def test_mistakes_are_sentences(server: httpx.Client) -> None:
    check_deployment(NAME)
    for name in ("train/nowhere", "nowhere/elsewhere"):
        with pytest.raises(UserError, match=f"no deployment `{name}`"):
            check_deployment(name)
        with pytest.raises(UserError, match=f"no deployment `{name}`"):
            run_elsewhere(name, {}, "key")
    for name in ("train", "train/", "/gpu", "a/b/c", ""):
        with pytest.raises(UserError, match="names no deployment"):
            check_deployment(name)
    key = uuid.uuid4().hex
    call = Call(key)
    server.delete(f"/flow_runs/{begun(server, key)}").raise_for_status()
    call.join(120)
    assert "was removed from the server" in str(call.error)


def test_a_server_that_is_away_is_transient() -> None:
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(away), pytest.raises(TransientError, match="does not answer"):
        check_deployment(NAME)
