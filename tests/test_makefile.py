"""The Makefile in a checkout whose folder has a space in its name, without installing anything."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.helpers import ROOT

PYTHON = """#!/bin/sh
# Stands for Python: logs its arguments, and makes an environment that holds copies of itself.
echo "$(basename "$0") $*" >> "{log}"
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin" && for name in python dvc chimle; do cp "$0" "$3/bin/$name"; done
fi
"""


def test_a_checkout_in_a_folder_with_a_space(tmp_path: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    checkout, log = tmp_path / "my own folder", tmp_path / "log"
    (checkout / ".git").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, checkout)
    python = tmp_path / "python stub"
    python.write_text(PYTHON.format(log=log))
    python.chmod(0o755)
    for target in ("install", "run"):
        done = subprocess.run(
            [make, "--directory", checkout, target, f"PYTHON={python}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert (checkout / ".venv" / ".installed").is_file()
    lines = log.read_text().splitlines()
    assert lines[0] == "python stub -m venv .venv"
    assert sum("-m pip install" in line for line in lines) == 2
    assert lines[-3:] == ["python -m stages.check", "dvc repro", "python -m stages.summary"]
