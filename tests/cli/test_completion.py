"""Shell completion offers commands, options and tasks."""

import os
import subprocess
import sys

import pytest

from tests.support.helpers import ROOT


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chimle exp", {"explore", "export"}),
        ("chimle sample --task co", {"colourization"}),
        ("chimle sample --keep", {"--keep-level"}),
    ],
)
def test_completion(line: str, expected: set[str]) -> None:
    environment = {
        **os.environ,
        "_CHIMLE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    program = "import sys; sys.argv = ['chimle']; from chimle.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert set(done.stdout.split()) == expected, done.stderr
