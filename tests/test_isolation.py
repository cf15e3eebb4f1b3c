"""Tests reach no network, use no proxy and see no cached weights, in children too."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import torch

from tests.support.servers import free_port

ASK = """
import socket, sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=5)
except OSError as error:
    print(error)
"""


def test_hosts_elsewhere_are_unknown_and_addresses_unreachable() -> None:
    with pytest.raises(socket.gaierror, match="not known"):
        socket.create_connection(("download.pytorch.org", 443), timeout=5)
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), timeout=5)
    with socket.socket() as one:
        assert one.connect_ex(("192.0.2.1", 80)) != 0
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get("https://download.pytorch.org/models", timeout=5)


def test_children_are_isolated_too() -> None:
    for address, words in (("http://example.org", "not known"), ("http://192.0.2.1", "reachable")):
        done = subprocess.run(
            [sys.executable, "-c", ASK, address], capture_output=True, text=True, check=True
        )
        assert words in done.stdout


def test_loopback_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            with socket.create_connection((host, server.getsockname()[1]), timeout=60):
                pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), timeout=60)


def test_no_proxy_and_no_cached_weights() -> None:
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    assert {name.lower() for name in proxies} <= {"no_proxy"}
    assert not (Path(torch.hub.get_dir()) / "checkpoints").exists()
