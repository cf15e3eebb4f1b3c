"""Make tests independent of the machine: no network, no proxy, no cached weights."""

import importlib
import os
import tempfile
from pathlib import Path

BLOCK = Path(__file__).parent / "no_network"
"""Folder whose `sitecustomize` blocks the network in child processes."""
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def isolate() -> None:
    """Isolate this process and its children, for as long as they run."""
    importlib.import_module("tests.support.no_network.sitecustomize")
    paths = [str(BLOCK), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    for name in _PROXIES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    # Nothing is ever stored there: downloads are blocked.
    empty = Path(tempfile.gettempdir()) / f"chimle-tests-without-torch-cache-{os.getpid()}"
    os.environ["TORCH_HOME"] = str(empty)
