"""`make serve` for tests: a real server and worker on a repository, used over HTTP."""

import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import yaml

from flows.login import load_login
from tests.support.helpers import ROOT
from tests.support.repositories import commit, environment
from tests.support.servers import free_port
from tests.support.waiting import wait_until

FAST = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Waits as short as the server allows; nothing else differs from a user's."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


def add_flows(root: Path, **changed: dict[str, Any]) -> str:
    """Bring the flows and their settings into a repository and commit; returns the hash.

    Args:
        root: the repository.
        changed: sections of `flows.yaml` that differ from the committed ones.
    """
    settings = yaml.safe_load((ROOT / "flows.yaml").read_text())
    for section, values in changed.items():
        settings[section] |= values
    (root / "flows.yaml").write_text(yaml.safe_dump(settings))
    (root / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    if not (root / "flows").exists():
        # The very code: what a worker imports is the installed package anyway.
        (root / "flows").symlink_to(ROOT / "flows")
    return commit(root, "flows")


class RetryTransport(httpx.HTTPTransport):
    """Repeats a request where the server's SQLite was busy, as Prefect's own client does.

    No connection is used twice: the server may close an idle one just then. Every request of the
    tests may be repeated.
    """

    def __init__(self) -> None:
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, up to six times."""
        for _ in range(5):
            try:
                response = super().handle_request(request)
            except httpx.TransportError:
                time.sleep(2)
                continue
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            response.close()
            time.sleep(2)
        return super().handle_request(request)


class Stack:
    """A running `python -m flows.serve`."""

    def __init__(self, root: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.root, self.port, self.process, self.log_file = root, port, process, log
        self.url = f"http://127.0.0.1:{port}"
        user, password = load_login(root).split(":", 1)
        self.login = f"{user}:{password}"
        self.client = httpx.Client(
            auth=(user, password),
            base_url=f"{self.url}/api",
            timeout=60,
            transport=RetryTransport(),
        )

    def output(self) -> str:
        """What `make serve` has printed."""
        return self.log_file.read_text()

    def ask(self, path: str, **wanted: Any) -> Any:
        """POST to the server's API; returns its JSON."""
        response = self.client.post(path, json=wanted).raise_for_status()
        return response.json() if response.content else None

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a deployment `FLOW/NAME` now; returns the run's identity."""
        found = self.client.get(f"/deployments/name/{deployment}").raise_for_status().json()
        path = f"/deployments/{found['id']}/create_flow_run"
        key = str(uuid.uuid4())
        return str(self.ask(path, parameters=parameters, idempotency_key=key)["id"])

    def pause_schedules(self) -> None:
        """Let no night begin by itself, at whatever time of the day tests run."""
        for deployment in self.ask("/deployments/filter"):
            path = f"/deployments/{deployment['id']}/schedules"
            for schedule in deployment["schedules"]:
                paused = self.client.patch(f"{path}/{schedule['id']}", json={"active": False})
                paused.raise_for_status()

    def run(self, run: str) -> dict[str, Any]:
        """A flow run as the server knows it."""
        found: dict[str, Any] = self.client.get(f"/flow_runs/{run}").raise_for_status().json()
        return found

    def wait(self, run: str, seconds: float = 900, ends: tuple[str, ...] = ENDED) -> dict[str, Any]:
        """A run once it is in one of the states; the test fails if that takes too long.

        Its processes have ended as well: the last lines of its log arrive before that.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.run(run)
            if found["state"]["type"] in ends:
                wait_until(lambda: not self.engines(run), 300)
                return found
            time.sleep(0.5)
        raise AssertionError(f"{run} is still {self.run(run)['state']}\n{self.log(run)}")

    def log(self, run: str) -> str:
        """All lines of a run's log, in order, each once.

        A line that arrives while pages are read moves those behind it to the next page, and a
        batch of lines whose answer was lost is sent again.
        """
        lines: dict[tuple[str, str], None] = {}
        offset, wanted = 0, {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        while found := self.ask("/logs/filter", **wanted, limit=200, offset=offset):
            lines |= dict.fromkeys((line["timestamp"], line["message"]) for line in found)
            offset += len(found)
        return "\n".join(message for _, message in lines)

    def wait_log(self, run: str, text: str, seconds: float) -> None:
        """Wait until a run's log holds a text."""
        wait_until(lambda: text in self.log(run), seconds)

    def artifacts(self, run: str) -> dict[str, Any]:
        """A run's artifacts by their keys, the newest of each."""
        wanted = {"flow_run_id": {"any_": [run]}}
        found = self.ask("/artifacts/filter", artifacts=wanted, sort="CREATED_DESC")
        return {artifact["key"]: artifact["data"] for artifact in reversed(found)}

    def slots_taken(self) -> int:
        """How many GPU slots are held."""
        path = "/v2/concurrency_limits/chimle-gpu"
        return int(self.client.get(path).raise_for_status().json()["active_slots"])

    def processes(self, *words: str) -> list[psutil.Process]:
        """This stack's living processes whose command line has all the words."""
        found = []
        for process in psutil.process_iter():
            try:
                line, alive = " ".join(process.cmdline()), process.status() != "zombie"
                ours = str(self.root) in process.environ().get("CHIMLE_ROOT", "")
            except psutil.Error:
                continue
            if ours and alive and all(word in line for word in words):
                found.append(process)
        return found

    def only_process(self, *words: str) -> psutil.Process:
        """The one living process that has the words, once there is one.

        `make serve` starts its worker last, and a process that has just been forked has the
        words of its parent.
        """
        found = wait_until(lambda: len(each := self.processes(*words)) == 1 and each, 120)
        return cast(psutil.Process, found[0])

    def engines(self, run: str = "") -> list[psutil.Process]:
        """The living processes of runs, or of one run."""
        found = self.processes("-m prefect.engine")
        return [each for each in found if run in run_of(each)]

    def wait_gone(self, *words: str, seconds: float = 120) -> None:
        """Wait until no process has these words; the test fails if one stays."""
        wait_until(lambda: not self.processes(*words), seconds)


def run_of(engine: psutil.Process) -> str:
    """The run that an engine's process works for; empty if it has ended meanwhile."""
    try:
        return str(engine.environ().get("PREFECT__FLOW_RUN_ID", ""))
    except psutil.Error:
        return ""


def check_never_from_zero(log: str, task: str) -> None:
    """No round of a task is done twice: a line stands for a round that is kept."""
    rounds = [int(n) for n in re.findall(rf"{task}: round (\d+)/", log)]
    assert rounds == sorted(set(rounds)), f"{task} went back: {rounds}\n{log}"


@contextmanager
def serving(root: Path, slots: int, **more: str) -> Iterator[Stack]:
    """A stack on a repository; stopped as Ctrl-C stops it."""
    with serving_at(free_port(), root, slots, **more) as stack:
        yield stack


@contextmanager
def serving_at(port: int, root: Path, slots: int, /, **more: str) -> Iterator[Stack]:
    """`serving` on a port."""
    command = [sys.executable, "-m", "flows.serve", "--slots", str(slots), "--port", str(port)]
    log = root.parent / f"serve-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env={**environment(root), **FAST, **more},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "Ctrl-C stops" in log.read_text() or process.poll() is not None, 420)
        assert process.poll() is None, log.read_text()
        stack = Stack(root, port, process, log)
        stack.pause_schedules()
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(180)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
