"""The pool: a worker that dies is one sentence, and what was done before stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chimle.errors import UserError
from chimle.io.journal import INLINE_LIMIT, journalled, read_lines
from tests.support.helpers import ROOT


def number(item: int) -> dict[str, Any]:
    return {"item": item}


def killed(item: int) -> dict[str, Any]:
    if item == INLINE_LIMIT:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"item": item}


def test_a_killed_worker_is_one_sentence(tmp_path: Path) -> None:
    items = list(range(2 * INLINE_LIMIT))
    journal = tmp_path / "journal.jsonl"
    with pytest.raises(UserError, match="a worker process was killed"):
        journalled(journal, items, killed, workers=2)
    done = list(read_lines(journal))
    assert done == [number(item) for item in range(len(done))]
    assert len(done) <= INLINE_LIMIT
    assert journalled(journal, items, number, workers=2) == len(done)
    assert list(read_lines(journal)) == [number(item) for item in items]


def test_a_system_that_does_not_tell_a_process_its_cores_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS, whose Python has no such function."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert journalled(tmp_path / "journal.jsonl", [1, 2], number) == 0
    assert list(read_lines(tmp_path / "journal.jsonl")) == [number(1), number(2)]


@pytest.mark.parametrize("damaged", [b'{"item"', b"\0" * 12 + b"\n", b"\0" * 12, b"7\n", b"\xff\n"])
def test_a_damaged_journal_is_continued_before_the_damage(tmp_path: Path, damaged: bytes) -> None:
    items, journal = list(range(6)), tmp_path / "journal.jsonl"
    journalled(journal, items, number)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join((*lines[:2], damaged, *lines[3:])))
    assert journalled(journal, items, number) == 2
    assert list(read_lines(journal)) == [number(item) for item in items]


PROGRAM = """
import sys, time
from pathlib import Path
if __name__ == "__mp_main__" and "slow-start" in sys.argv:
    Path(sys.argv[1]).with_name("begun").touch()
    time.sleep(3)
from chimle.errors import guarded
from chimle.io.journal import journalled
from tests.io.test_journal import slow
if __name__ == "__main__":
    guarded(lambda: journalled(Path(sys.argv[1]), list(range(4000)), slow, workers=2))
"""


def slow(item: int) -> dict[str, Any]:
    time.sleep(0.02)
    return {"item": item}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`PROGRAM` in a process group of its own."""
    program, journal = folder / "program.py", folder / "journal.jsonl"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(program), str(journal), *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background of a shell ignores the signal, and its children do, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_ctrl_c_while_workers_start_is_one_line(tmp_path: Path) -> None:
    process = start(tmp_path, "slow-start")
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=120)[1] == "interrupted\n"
    assert process.returncode == 130


def test_ctrl_c_is_one_line_and_keeps_what_was_done(tmp_path: Path) -> None:
    process, journal = start(tmp_path), tmp_path / "journal.jsonl"
    while not journal.exists() or not journal.stat().st_size:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does: to the workers, too.
    assert process.communicate(timeout=120)[1] == "interrupted\n"
    assert process.returncode == 130
    done = list(read_lines(journal))
    assert done == [number(item) for item in range(len(done))]
    assert 0 < len(done) < 4000


def test_stages_of_data_start_without_torch() -> None:
    """So do their workers: importing it takes longer than making hundreds of pairs."""
    code = "import sys, stages.fetch, stages.pair; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
