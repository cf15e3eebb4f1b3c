"""The server under load: SQLite does not answer "database is locked"."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.servers import free_port
from tests.support.stack import FAST, wait_until

pytestmark = pytest.mark.timeout(300)
SECONDS = 8
CLIENTS = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a new server without a login."""
    port = free_port()
    command = [sys.executable, "-m", "flows.prefect_server", "--port", str(port)]
    env = {**os.environ, "PREFECT_HOME": str(tmp_path), **FAST}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/api"

    def ready() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/health").is_success
        return False

    try:
        wait_until(ready, 120)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def use(url: str, flow: str, statuses: Counter[int], end: float) -> None:
    """What runs ask of a server: states, logs, task runs, events; each status is counted."""
    with httpx.Client(timeout=120) as client:

        def post(path: str, content: object) -> httpx.Response:
            response = client.post(f"{url}{path}", json=content)
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


def test_many_clients_at_once_get_no_error(server: str) -> None:
    made = httpx.post(f"{server}/flows/", json={"name": "load"}).raise_for_status()
    statuses: Counter[int] = Counter()
    given = (server, made.json()["id"], statuses, time.monotonic() + SECONDS)
    threads = [threading.Thread(target=use, args=given) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(statuses) < 300, statuses
    assert sum(statuses.values()) > 50
