"""`chimle explore` as a real process, for tests over HTTP and in a browser."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.helpers import ROOT
from tests.support.projects import tiny_bundle
from tests.support.servers import free_port


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of four levels."""
    return tiny_bundle(tmp_path_factory.mktemp("explored") / "bundle", "night_to_day")


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files of `port`'s server."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def port(bundle: Path, uploads: Path) -> Iterator[int]:
    """The port of `chimle explore`, running."""
    pytest.importorskip("starlette", reason="the extra `explore` is absent")
    pytest.importorskip("uvicorn", reason="the extra `explore` is absent")
    chosen = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "chimle", "explore"]
    options = ["--model", str(bundle), "--port", str(chosen)]
    # A closed proxy: the page is not looked for there.
    env = os.environ | dict.fromkeys(
        ("http_proxy", "HTTP_PROXY"), f"http://127.0.0.1:{free_port()}"
    )
    env["TMPDIR"] = str(uploads)
    server = subprocess.Popen([*command, *options], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(server, chosen)
        yield chosen
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        assert server.poll() is None, "explore ended at its start"
        try:
            httpx.get(f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
            return
        except httpx.ConnectError:
            time.sleep(0.2)
    pytest.fail("explore does not listen")
