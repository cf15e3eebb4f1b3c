"""`chimle explore` as a process: how it starts, ends, and fails."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import chimle
from chimle.images.formats import image_extensions
from tests.support.command import run
from tests.support.helpers import ROOT
from tests.support.servers import free_port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly_and_leaves_no_file(
    bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    pytest.importorskip("uvicorn", reason="the extra `explore` is absent")
    port = str(free_port())
    command = [sys.executable, "-W", "ignore", "-m", "chimle", "explore", "--port", port]
    with subprocess.Popen(
        [*command, "--model", str(bundle)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert (
            server.stdout.readline() == f"Open http://127.0.0.1:{port} in a browser; Ctrl-C ends.\n"
        )
        httpx.get(f"http://127.0.0.1:{port}", timeout=60, trust_env=False).raise_for_status()
        assert list(tmp_path.glob("chimle-explore-*"))
        server.send_signal(number)
        _, complaints = server.communicate(timeout=60)
    assert (server.returncode, complaints) == (0, "")
    assert not list(tmp_path.glob("chimle-explore-*"))


def test_a_taken_port_is_one_sentence(bundle: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra `explore` is absent")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("explore", "--model", bundle, "--port", port)
    assert done.returncode == 2, done.stderr
    assert f"port {port} cannot be used" in done.stderr, done.stderr


@pytest.mark.parametrize("package", ["uvicorn", "starlette"])
def test_without_the_extra_it_says_what_to_install(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    from chimle.cli.explore.serve_page import serve_page
    from chimle.errors import UserError

    loaded = [name for name in sys.modules if name.split(".")[0] == package]
    for name in [*loaded, "chimle.cli.explore.explore_app"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}: pip install 'chimle\[explore\]'"):
        serve_page(chimle.load(bundle), 1)


def test_every_kind_of_file_that_is_decoded_may_be_chosen(bundle: Path) -> None:
    pytest.importorskip("starlette", reason="the extra `explore` is absent")
    from chimle.cli.explore.explore_app import render_page

    found = re.search(r'accept="([^"]*)"', render_page(chimle.load(bundle)))
    assert found is not None
    assert set(found[1].split(",")) == {"image/*", *image_extensions()}
