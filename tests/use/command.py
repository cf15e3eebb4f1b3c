"""The command line in a process of its own."""

import subprocess
import sys

from tests.helpers import ROOT


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """`python -m chimle` with these arguments."""
    command = [sys.executable, "-W", "ignore", "-m", "chimle", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
