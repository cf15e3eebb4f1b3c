"""Make tests independent of the machine: no network, proxy, cached weights, make."""

import importlib
import os
import tempfile
from pathlib import Path

BLOCK = Path(__file__).parent / "no_network"
"""Folder whose `sitecustomize` blocks the network in child processes."""
_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "VENV")
"""A make around the tests would hand its own variables to a make inside them."""
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def isolate() -> None:
    """Isolate this process and its children, for as long as they run."""
    importlib.import_module("tests.support.no_network.sitecustomize")
    paths = [str(BLOCK), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    for name in _MAKE:
        os.environ.pop(name, None)
    for name in _PROXIES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    # DVC's usage statistics and its look for newer versions: processes of their own, in a project
    # whose configuration forbids neither.
    os.environ["DVC_TEST"] = "1"
    # Nothing is ever stored there: downloads are blocked.
    empty = Path(tempfile.gettempdir()) / f"chimle-tests-without-torch-cache-{os.getpid()}"
    os.environ["TORCH_HOME"] = str(empty)
