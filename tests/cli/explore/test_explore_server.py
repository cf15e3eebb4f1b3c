"""The server of `chimle explore` over HTTP: who is answered, limits, and its queue."""

import base64
import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import chimle
from chimle.images.decode import png_bytes
from tests.support.projects import noise_image
from tests.support.waiting import wait_until

LONG = {"kind": "map", "columns": "6", "rows": "6"}
"""A request that takes seconds for an image of `LARGE` pixels."""
LARGE = (400, 400)
MOST_WAITING = 8


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=None)
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, timeout=60, trust_env=False, limits=limits) as opened:
        yield opened
    wait_until_idle(port)


def wait_until_idle(port: int) -> None:
    """Ask for a sample, and take it."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        client.post("/samples?count=1", content=png_bytes(noise_image((16, 16)))).raise_for_status()


class Asked:
    """A request whose response is read line by line."""

    def __init__(
        self, stack: ExitStack, client: httpx.Client, size: tuple[int, int], **query: str
    ) -> None:
        content = png_bytes(noise_image(size))
        response = client.stream("POST", "/samples", params=query, content=content)
        self.stack = stack.enter_context(ExitStack())
        self.response = self.stack.enter_context(response)
        self.lines = self.response.iter_lines()

    def next(self) -> dict[str, Any]:
        return dict(json.loads(next(self.lines)))

    def rest(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def go_away(self) -> None:
        self.stack.close()


def pixels(event: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(event["png"]))) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_its_own_page_is_answered(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    for path in ("/", "/example"):
        assert client.get(path, headers=headers).status_code == status
    content = png_bytes(noise_image((8, 8)))
    got = client.post("/samples?count=1", headers=headers, content=content)
    assert got.status_code == status


def test_it_listens_on_loopback_only(port: int) -> None:
    """Of the addresses of the kernel's table of listening sockets, the port has one."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        pytest.skip("no /proc/net/tcp")
    lines = [line.split() for table in tables if table.exists() for line in table.open()]
    listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")]
    assert listening == [f"0100007F:{port:04X}"]


def test_the_page_runs_and_loads_nothing_but_itself(client: httpx.Client) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import""", page.text)


def test_other_paths_and_methods_are_refused(client: httpx.Client) -> None:
    assert client.get("/samples").status_code == 405
    assert client.post("/").status_code == 405
    for path in ("/../etc/passwd", "/static/x", "/docs"):
        assert client.get(path).status_code == 404


def test_bad_values_are_one_sentence(client: httpx.Client) -> None:
    got = client.post("/samples?count=13", content=b"")
    assert (got.status_code, got.text) == (400, "`count` must be a whole number from 1 to 12.")
    got = client.post("/samples?name=notes.png", content=b"no image")
    assert json.loads(got.text)["error"].startswith("notes.png is damaged or no image")


def test_an_upload_is_bounded(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(130):
            yield bytes(2**20)

    try:
        got = client.post("/samples?name=large.png", content=endless())
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        return  # The server has closed the connection before all was sent.
    assert got.status_code == 413
    assert got.text == "large.png has more than 128 MiB: reduce it first."


def test_connections_are_bounded(client: httpx.Client, port: int) -> None:
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert client.get("/").status_code == 503
    wait_until(lambda: client.get("/").status_code == 200)


def test_two_people_get_what_each_asked_for(client: httpx.Client, bundle: Path) -> None:
    model = chimle.load(bundle)
    with ExitStack() as stack:
        first = Asked(stack, client, (40, 60), count="3")
        second = Asked(stack, client, (30, 20), base="1.2.2.2", keep="1", count="2")
        lines = [(first, (40, 60)), (second, (30, 20))]
        for asked, size in lines:
            drawn = [event for event in asked.rest() if "png" in event]
            alone = model.sample(noise_image(size), names=[event["name"] for event in drawn])
            for event, sample in zip(drawn, alone, strict=True):
                np.testing.assert_array_equal(pixels(event), sample)
            assert len(drawn) == (3 if asked is first else 2)


def test_who_waits_is_told_the_place_and_moves_up_when_others_leave(client: httpx.Client) -> None:
    with ExitStack() as stack:
        first = Asked(stack, client, LARGE, **LONG)
        assert "rows" in first.next()
        second = Asked(stack, client, (16, 16), count="2")
        third = Asked(stack, client, (16, 16), count="1")
        fourth = Asked(stack, client, (16, 16), count="1")
        assert second.next() == {"before": 1}
        assert third.next() == {"before": 2}
        assert fourth.next() == {"before": 3}
        third.go_away()
        assert fourth.next() == {"before": 2}
        first.go_away()
        assert "input" in second.next()
        assert len([event for event in second.rest() if "png" in event]) == 2
        places = [event["before"] for event in fourth.rest() if "before" in event]
        assert places == [1]


def test_who_reads_nothing_holds_up_nobody(client: httpx.Client) -> None:
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    transport = httpx.HTTPTransport(socket_options=small)
    with ExitStack() as stack:
        stalled = httpx.Client(base_url=client.base_url, timeout=60, transport=transport)
        # 36 samples are more than the system buffers for a connection.
        Asked(stack, stack.enter_context(stalled), (220, 220), **LONG)
        second = Asked(stack, client, (16, 16), count="1")
        assert second.next() == {"before": 1}
        assert second.rest()[-1] == {"end": True}


def test_the_queue_is_bounded_by_one_sentence(client: httpx.Client) -> None:
    with ExitStack() as stack:
        first = Asked(stack, client, LARGE, **LONG)
        assert "rows" in first.next()
        waiting = [Asked(stack, client, (16, 16), count="1") for _ in range(MOST_WAITING)]
        got = client.post("/samples?count=1", content=png_bytes(noise_image((16, 16))))
        assert got.status_code == 503
        assert got.text == "8 requests are waiting already: try again in a minute."
        assert got.headers["retry-after"] == "60"
        first.go_away()
        assert all(asked.rest()[-1] == {"end": True} for asked in waiting)


def test_uploads_are_removed(client: httpx.Client, port: int, uploads: Path) -> None:
    """Each request's file is gone after it, whether it was drawn, refused or left."""
    with ExitStack() as stack:
        asked = Asked(stack, client, LARGE, **LONG)
        asked.next()
        (folder,) = uploads.glob("chimle-explore-*")
        # That of the request before is removed just after its response.
        wait_until(lambda: len(list(folder.iterdir())) == 1)
        asked.go_away()
    client.post("/samples", content=b"no image")
    wait_until_idle(port)
    wait_until(lambda: not list(folder.iterdir()))
