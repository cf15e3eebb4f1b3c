"""How threads wait is decided when chimle is imported, unless the user or torch came first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.helpers import ROOT

SHOW = "import os; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"


def shown(first: str, **environment: str) -> str:
    """Both variables in a process that runs `first`."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", f"{first}; {SHOW}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=kept | environment
    )
    return done.stdout.strip()


GNU = sys.platform == "linux" and any(Path(torch.__file__).parent.glob("lib/libgomp*"))


@pytest.mark.skipif(not GNU, reason="torch's threads are not GNU's OpenMP")
@pytest.mark.parametrize("first", ["import chimle", "import stages", "import benchmarks"])
def test_threads_wait_awake_for_a_moment(first: str) -> None:
    assert shown(first) == "ACTIVE 300000"


def test_the_users_choice_stays() -> None:
    assert shown("import chimle", OMP_WAIT_POLICY="PASSIVE") == "PASSIVE None"
    assert shown("import chimle", GOMP_SPINCOUNT="7") == "None 7"


def test_nothing_changes_where_torch_is_loaded_already() -> None:
    assert shown("import torch, chimle") == "None None"
