"""Sizes on disk while runs come and go: what vanishes meanwhile does not count."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.disk import old_scratch, trim_scratch
from tests.support.repositories import run

_DAY = 86_400.0


def _old(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    before = time.time() - 100 * _DAY
    os.utime(file, (before, before))


@pytest.mark.parametrize("gone", ["task", "state", "scratch"])
def test_a_folder_that_vanishes_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    run(tmp_path, "git", "init", "-q")
    _old(tmp_path / "scratch" / "train" / "task" / "state" / "a")
    _old(tmp_path / "scratch" / "train" / "other" / "state" / "b")
    iterdir, looked = Path.iterdir, set[str]()

    def entries(folder: Path) -> Iterator[Path]:
        looked.add(folder.name)
        if folder.name == gone:  # It is removed after it was seen, and before it is read.
            shutil.rmtree(folder)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", entries)
    found = {unit.parent.name for unit in old_scratch(tmp_path, 30)}
    assert gone in looked
    assert found <= {"task", "other"}
    if gone == "task":
        assert found == {"other"}
    trim_scratch(tmp_path, 30)
