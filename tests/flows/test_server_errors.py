"""Commands whose server is away, or refuses the login: one sentence that says what to do."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from chimle.errors import UserError
from flows import deployments, setup_server
from flows.__main__ import run
from flows.remote_runs import check_deployment
from tests.support.helpers import ROOT
from tests.support.servers import free_port

COMMANDS: dict[str, Callable[[], None]] = {
    "set up": lambda: setup_server.main(ROOT, None),
    "deploy": deployments.main,
    "run": lambda: run("train", ["task=colourization"]),
}

ASKING = {**COMMANDS, "run elsewhere": lambda: check_deployment("train/gpu")}


class _Refusing(BaseHTTPRequestHandler):
    """Answers 401, as a server to a request without its login."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_server_that_is_away(command: Callable[[], None]) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(UserError) as caught:
        command()
    assert f"server at {url} does not answer: start it with `make serve`" in str(caught.value)


@pytest.mark.parametrize("name", ["setup_server", "deployments"])
def test_a_server_that_is_not_named_is_not_made_up(name: str, tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", f"flows.{name}"],
        cwd=ROOT,
        env={**env, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: PREFECT_API_URL names no Prefect server: export it, ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "prefect.db").exists()


@pytest.mark.parametrize("command", ASKING.values(), ids=ASKING)
def test_a_server_that_refuses_the_login(
    command: Callable[[], None], refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with temporary_settings({PREFECT_API_URL: refusing}), pytest.raises(UserError) as caught:
        command()
    assert f"server at {refusing} refuses the login: export" in str(caught.value)
