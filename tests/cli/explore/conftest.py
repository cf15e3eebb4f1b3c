"""`chimle explore` as a real process, for tests over HTTP and in a browser."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.browsers import new_page
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
        wait_until_it_answers(server, chosen)
        yield chosen
    finally:
        server.terminate()
        server.wait(120)


def wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(1500):
        assert server.poll() is None, "explore ended at its start"
        try:
            httpx.get(f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
            return
        except httpx.ConnectError:
            time.sleep(0.2)
    pytest.fail("explore does not listen")


@pytest.fixture
def open_page(browser: Any, port: int) -> Iterator[Callable[..., Any]]:
    """Opens a page of another person; fails where one requests anything from another machine."""
    requested: list[str] = []
    errors: list[str] = []
    contexts = []

    def opened(width: int = 1200, height: int = 1000, **options: Any) -> Any:
        viewport = {"width": width, "height": height}
        page = new_page(browser, viewport=viewport, accept_downloads=True, **options)
        contexts.append(page.context)
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"http://127.0.0.1:{port}")
        return page

    yield opened
    own = re.compile(rf"(blob:|data:|http://(127\.0\.0\.1|localhost):{port}/)")
    foreign = [url for url in requested if not own.match(url)]
    for context in contexts:
        context.close()
    assert not foreign, foreign
    # A full queue is a failed request for the browser, which it reports; the page says it, too.
    assert not [error for error in errors if "503" not in error], errors


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    return open_page()
