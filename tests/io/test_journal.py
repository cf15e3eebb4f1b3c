"""The pool: a worker that dies is one sentence, and what was done before stays."""

import os
import signal
import subprocess
import sys
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


@pytest.mark.parametrize("damaged", [b'{"item"', b"\0" * 12 + b"\n", b"\0" * 12, b"7\n", b"\xff\n"])
def test_a_damaged_journal_is_continued_before_the_damage(tmp_path: Path, damaged: bytes) -> None:
    items, journal = list(range(6)), tmp_path / "journal.jsonl"
    journalled(journal, items, number)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join((*lines[:2], damaged, *lines[3:])))
    assert journalled(journal, items, number) == 2
    assert list(read_lines(journal)) == [number(item) for item in items]


def test_stages_of_data_start_without_torch() -> None:
    """So do their workers: importing it takes longer than making hundreds of pairs."""
    code = "import sys, stages.fetch, stages.pair; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
