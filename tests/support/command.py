"""Run the command line, in this process or in a new one."""

import subprocess
import sys
from pathlib import Path

from chimle.cli.main import main
from tests.support.helpers import ROOT
from tests.support.in_process import in_process


def run(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`chimle` with these arguments, in this process."""
    return in_process(main, *arguments, env=env, cwd=cwd)


def run_alone(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m chimle` with these arguments, in a new process."""
    command = [sys.executable, "-W", "ignore", "-m", "chimle", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
