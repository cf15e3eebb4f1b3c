"""Commands that get no further are stopped; those that do may take any time."""

import os
import sys
from pathlib import Path

import pytest

from chimle.io.watched_process import StalledError, run_watched

SILENCE = 4.0
"""Seconds, longer than Python takes to start."""
SLOWLY = """
import sys, time
for number in range(8):
    time.sleep(1)
    {}
"""


def run(code: str, folder: Path, silence: float = SILENCE) -> tuple[int, str, str]:
    command = [sys.executable, "-c", code]
    done = run_watched(command, cwd=folder, env=os.environ, written=folder, silence=silence)
    return done.returncode, done.stdout, done.stderr


def test_output_and_exit_code_are_the_command_s(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert run(code, tmp_path) == (3, "out\n", "err\n")
    assert run("print(input())", tmp_path)[0] == 1, "there is no input"


@pytest.mark.parametrize(
    "act",
    [
        "print(number, flush=True)",
        "print(number, file=sys.stderr, flush=True)",
        "open('file', 'ab', 0).write(b'x')",
        "open(f'file-{number}', 'w').write('x')",
    ],
)
def test_who_gets_further_may_take_longer(tmp_path: Path, act: str) -> None:
    assert run(SLOWLY.format(act), tmp_path)[0] == 0


def test_who_does_not_is_stopped(tmp_path: Path) -> None:
    """Even one that ignores SIGTERM."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "open('pid', 'w').write(str(os.getpid())); time.sleep(1000)"
    )
    with pytest.raises(StalledError, match=r"^no progress for 4 seconds$"):
        run(code, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
