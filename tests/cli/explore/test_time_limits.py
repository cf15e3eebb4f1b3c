"""Clients of `chimle explore` that send or read nothing lose their connection, others keep it."""

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from chimle.images.decode import png_bytes
from tests.cli.explore.conftest import wait_until_it_answers
from tests.support.helpers import ROOT
from tests.support.projects import noise_image
from tests.support.servers import free_port

PROGRAM = """
import sys
import chimle
from chimle.cli.explore.serve_page import serve_page
from chimle.cli.explore.time_limits import TimeLimits
serve_page(chimle.load(sys.argv[1]), int(sys.argv[2]), TimeLimits(header=1, silence=1, body=3))
"""
LONGEST = 60
"""Seconds in which a connection must end, which without a limit never does."""
UPLOAD = (
    b"POST /samples?count=1&name=a.png HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
)


@pytest.fixture(scope="module")
def limited_port(bundle: Path) -> Iterator[int]:
    """The port of a page whose limits are a few seconds."""
    pytest.importorskip("starlette", reason="the extra `explore` is absent")
    pytest.importorskip("uvicorn", reason="the extra `explore` is absent")
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(bundle), str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until_it_answers(server, port)
        yield port
    finally:
        server.terminate()
        server.wait(120)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LONGEST)


def all_received(client: socket.socket) -> bytes:
    """Until the server closes the connection; TimeoutError where it does not.

    It is reset instead where the server has not read all that was sent.
    """
    received = b""
    with suppress(ConnectionResetError):
        while chunk := client.recv(2**16):
            received += chunk
    return received


def send_slowly(client: socket.socket, line: bytes) -> bytes:
    """Send bytes one by one until the server says or closes something; what it says."""
    deadline = time.monotonic() + LONGEST
    for byte in line * 1000:
        assert time.monotonic() < deadline, "the connection stays open"
        with suppress(ConnectionError):
            client.send(bytes([byte]))
        if select.select([client], [], [], 0.05)[0]:
            return all_received(client)
    pytest.fail("all bytes were taken")


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_header_that_does_not_come_ends_its_connection(
    limited_port: int, beginning: bytes
) -> None:
    with connected(limited_port) as client:
        client.sendall(beginning)
        assert all_received(client) == b""


def test_a_header_byte_by_byte_ends_its_connection(limited_port: int) -> None:
    with connected(limited_port) as client:
        assert send_slowly(client, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 999) == b""


def test_a_second_header_byte_by_byte_ends_its_connection(limited_port: int) -> None:
    with connected(limited_port) as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(2**16).startswith(b"HTTP/1.1 404 ")
        assert b"HTTP" not in send_slowly(client, b"GET / HTTP/1.1\r\nX: " + b"x" * 999)


@pytest.mark.parametrize("slowly", [False, True])
def test_a_body_that_does_not_come_is_refused(limited_port: int, slowly: bool) -> None:
    with connected(limited_port) as client:
        client.sendall(UPLOAD + b"\r\nsome")
        answer = send_slowly(client, b"more") if slowly else all_received(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b"a.png arrives too slowly or not at all: send it again.")


def test_a_body_of_a_request_that_is_answered_without_it_ends_the_connection(
    limited_port: int,
) -> None:
    with connected(limited_port) as client:
        client.sendall(UPLOAD.replace(b"/samples", b"/nothing") + b"\r\n")
        assert client.recv(2**16).startswith(b"HTTP/1.1 404 ")
        send_slowly(client, b"more")


def test_silent_connections_lock_nobody_out_for_long(limited_port: int) -> None:
    deadline = time.monotonic() + LONGEST
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(connected(limited_port)).sendall(b"GET / HTTP/1.1\r\n")
        address = f"http://127.0.0.1:{limited_port}"
        while httpx.get(address, timeout=60, trust_env=False).status_code != 200:
            assert time.monotonic() < deadline, "the silent clients hold all connections"
            time.sleep(0.1)


def is_established(port: int, client: socket.socket) -> bool:
    """Whether the server's end of a connection is open, in the kernel's table."""
    ends = f":{port:04X}", f":{client.getsockname()[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any((line[1][8:], line[2][8:], line[3]) == (*ends, "01") for line in lines)


def test_who_reads_no_response_loses_the_connection(limited_port: int) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("no /proc/net/tcp")
    image = png_bytes(noise_image((220, 220)))
    query = b"POST /samples?kind=map&columns=6&rows=6 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    deadline = time.monotonic() + LONGEST
    with socket.socket() as client:
        # 36 samples are more than the system buffers for a connection.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", limited_port))
        client.sendall(query + b"Content-Length: %d\r\n\r\n" % len(image) + image)
        while is_established(limited_port, client):
            assert time.monotonic() < deadline, "the connection stays open"
            time.sleep(0.1)


def test_a_long_computation_is_not_cut_off(limited_port: int) -> None:
    """12 samples take longer than the limits; the second request waits for the first."""
    address = f"http://127.0.0.1:{limited_port}/samples"
    content, large = png_bytes(noise_image((16, 16))), png_bytes(noise_image((300, 300)))
    query = {"kind": "map", "columns": "3", "rows": "4"}
    with (
        httpx.Client(timeout=2 * LONGEST, trust_env=False) as client,
        ThreadPoolExecutor() as pool,
    ):
        with client.stream("POST", address, params=query, content=large) as response:
            lines = response.iter_lines()
            assert "rows" in json.loads(next(lines))
            second = pool.submit(client.post, address, params={"count": "1"}, content=content)
            assert json.loads(list(lines)[-1]) == {"end": True}
        assert json.loads(second.result().text.splitlines()[-1]) == {"end": True}
