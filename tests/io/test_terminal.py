"""Output to terminals of any encoding, and to pipes that are closed early."""

import os
import subprocess
import sys

import pytest

from tests.support.helpers import ROOT

PROGRAM = """
from chimle.errors import UserError, guarded
from chimle.io.terminal import emit, emit_line
import sys
def main():
    emit("↑ ↓ 0 – 1 é \\udcff")
    for _ in range(20_000):
        emit("a long line of output")
    emit_line("done")
    if "fail" in sys.argv:
        raise UserError("σ – wrong")
guarded(main)
"""


def run(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("encoding", "first"),
    [
        ("utf-8", "↑ ↓ 0 – 1 é \\udcff"),
        ("ascii", "^ v 0 - 1 \\xe9 \\udcff"),
        ("cp1252", "^ v 0 – 1 é \\udcff"),
    ],
)
def test_each_encoding_prints_every_text(encoding: str, first: str) -> None:
    done = run(encoding, "fail")
    assert done.stdout.decode(encoding).splitlines()[0] == first
    assert done.returncode == 2
    assert done.stderr.decode(encoding).splitlines()[-1].startswith("error: ")


def test_a_pipe_closed_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read().decode()
        assert process.wait(30) == 0
    assert complaints == "done\n", "the work goes on, and nothing is complained about"
