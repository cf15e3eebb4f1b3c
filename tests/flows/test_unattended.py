"""Nobody watches: what needs a person is told, runs do not pile up, the database waits."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from chimle.io.file_locks import locked
from flows.command import NOTIFY
from flows.run_states import NOT_PUBLISHED
from flows.serve import LATE
from tests.support.repositories import tiny_repository
from tests.support.servers import free_port
from tests.support.stack import Stack, add_flows, run_of, serving
from tests.support.waiting import wait_until
from tests.support.webhook import Webhook, webhook

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]
SECRET = "token-of-the-webhook"
SECONDS = 10
CLIENTS = 4
PROXY = f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny_repository(tmp_path_factory.mktemp("unattended") / "project")
    add_flows(root)
    return root


@pytest.fixture(scope="module")
def stack(root: Path, hook: Webhook) -> Iterator[Stack]:
    # A proxy that is closed: whatever went through it would fail.
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), PROXY)
    env = {**proxies, NOTIFY: f"json://{hook.address}/{SECRET}", LATE: "10"}
    with serving(root, slots=1, **env) as running:
        yield running


def test_late_crashed_and_failed_runs_are_told(stack: Stack, hook: Webhook) -> None:
    worker = stack.only_process("prefect", "worker", "start")
    worker.suspend()
    run = stack.start("train/on-demand", task="colourization", revision="no-such")
    wait_until(lambda: hook.told("Late", run), 180)
    # The run waits for this lock, so that it cannot end before it is killed.
    with locked(stack.root / "scratch" / "work-trees" / ".lock"):
        worker.resume()
        engine = wait_until(lambda: stack.engines(run), 180)[0]
        engine.kill()
        wait_until(lambda: hook.told("crashed", "starts again", run), 240)
    wait_until(lambda: hook.told("Failed", "`no-such` names no commit", run), 240)
    assert all(message["path"] == f"/{SECRET}" for message in hook.messages)


def end_run(stack: Stack, kind: str, name: str) -> str:
    """A run of `pipeline` that has ended in a state; returns its identity."""
    (flow,) = [each for each in stack.ask("/flows/filter") if each["name"] == "pipeline"]
    made = stack.ask("/flow_runs/", flow_id=flow["id"], state={"type": "RUNNING"})
    state = {"type": kind, "name": name, "message": "lpips is worse"}
    stack.ask(f"/flow_runs/{made['id']}/set_state", state=state, force=True)
    return str(made["id"])


def test_an_unpublished_run_is_told_and_a_completed_one_is_not(stack: Stack, hook: Webhook) -> None:
    good, bad = end_run(stack, "COMPLETED", "Completed"), end_run(stack, "FAILED", NOT_PUBLISHED)
    wait_until(lambda: hook.told(NOT_PUBLISHED, "lpips is worse", bad), 120)
    assert not hook.told(good)


def test_the_address_is_in_no_log_and_no_environment(stack: Stack, hook: Webhook) -> None:
    # Also where the webhook refuses the message.
    hook.status = 500
    run = end_run(stack, "FAILED", "Failed")
    wait_until(lambda: hook.told("Failed", run), 120)
    hook.status = 200
    following = end_run(stack, "FAILED", "Failed")
    wait_until(lambda: hook.told("Failed", following), 120)
    assert SECRET not in stack.output()
    for process in stack.processes("prefect"):
        with suppress(psutil.NoSuchProcess):
            assert SECRET not in str(process.environ())
    assert (stack.root / ".prefect" / "prefect.db").is_file()
    for file in (stack.root / ".prefect").rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # Some last for a moment only.
            assert SECRET.encode() not in file.read_bytes(), file


def test_a_proxy_does_not_catch_this_machine(stack: Stack) -> None:
    # All of this module speaks through this environment.
    for words in (("flows.prefect_server",), ("prefect", "worker", "start")):
        found = stack.only_process(*words).environ()
        assert found["http_proxy"] == PROXY
        assert "127.0.0.1" in found["NO_PROXY"].split(",")


def test_nights_do_not_pile_up(stack: Stack, root: Path) -> None:
    found = stack.client.get("/deployments/name/pipeline/nightly").raise_for_status().json()
    path = f"/deployments/{found['id']}/schedules"

    def nights() -> list[dict[str, Any]]:
        found_runs: list[dict[str, Any]] = stack.ask(
            "/flow_runs/filter", deployments={"id": {"any_": [found["id"]]}}
        )
        return [each for each in found_runs if each["id"] != first]

    with locked(root / "scratch" / "work-trees" / ".lock"):
        first = stack.start("pipeline/nightly")
        stack.wait_log(first, "makes a work tree or trims the disk: waiting for it", 240)
        soon = {"schedule": {"cron": "* * * * * */10", "timezone": "UTC"}, "active": True}
        stack.client.post(path, json=[soon]).raise_for_status()

        def cancelled() -> list[dict[str, Any]]:
            return [each for each in nights() if each["state"]["type"] == "CANCELLED"]

        wait_until(lambda: len(cancelled()) >= 3, 240)
        assert all("concurrency limit" in each["state"]["message"] for each in cancelled())
        assert not [each for each in nights() if each["state"]["type"] in ("RUNNING", "PENDING")]
        at_work = {run_of(each) for each in stack.engines()}
        assert first in at_work
        assert not at_work & {each["id"] for each in nights()}
        for each in stack.client.get(f"/deployments/{found['id']}").json()["schedules"]:
            stack.client.delete(f"{path}/{each['id']}").raise_for_status()
        cancelling = {"type": "CANCELLING", "name": "Cancelling"}
        stack.ask(f"/flow_runs/{first}/set_state", state=cancelling)
        assert stack.wait(first, 180)["state"]["type"] == "CANCELLED"


def use(stack: Stack, flow: str, statuses: Counter[int], end: float) -> None:
    """Ask what runs ask: states, task runs, artifacts, events; each status is counted."""
    user, password = stack.login.split(":", 1)
    base = f"{stack.url}/api"
    with httpx.Client(timeout=120, base_url=base, auth=(user, password)) as client:

        def post(path: str, content: object) -> httpx.Response:
            response = client.post(path, json=content)
            statuses[response.status_code] += 1
            return response

        running = {"type": "RUNNING"}
        while time.monotonic() < end:
            made = post("/flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})
            if not made.is_success:
                continue
            run = made.json()["id"]
            post(f"/flow_runs/{run}/set_state", {"state": running})
            for number in range(5):
                named = {"flow_run_id": run, "task_key": "t", "dynamic_key": str(number)}
                post("/task_runs/", {**named, "state": running})
                post("/artifacts/", {"key": "progress", "data": 1.0, "flow_run_id": run})
                event = {
                    "id": str(uuid.uuid4()),
                    "event": "prefect.flow-run.heartbeat",
                    "occurred": "2022-11-28T00:00:00Z",
                    "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
                }
                post("/events", [event])
            post(f"/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}})


def test_many_clients_at_once_get_no_error(stack: Stack) -> None:
    flow = stack.ask("/flows/", name="load")["id"]
    statuses: Counter[int] = Counter()
    given = (stack, flow, statuses, time.monotonic() + SECONDS)
    threads = [threading.Thread(target=use, args=given) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(statuses) < 300, statuses
    assert sum(statuses.values()) > 30
