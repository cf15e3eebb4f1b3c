"""Servers on this machine for tests that speak over a real connection."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "reader",
    "AWS_SECRET_ACCESS_KEY": "do-not-print-me",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


_RESERVED: list[socket.socket] = []


def free_port() -> int:
    """A port on which nothing listens.

    On Linux it stays reserved as long as this process lives: the system gives it to no other
    program that asks for any port, but a server that may reuse an address, as servers do, can
    listen on it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    port = int(reserved.getsockname()[1])
    if sys.platform == "linux":
        _RESERVED.append(reserved)
    else:
        reserved.close()
    return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server that speaks the S3 protocol, with nothing in it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not _listens(port):
            assert server.poll() is None, "the S3 server ended at its start"
            assert time.monotonic() < deadline, "the S3 server does not listen"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
