"""Sizes on disk while runs come and go: what vanishes meanwhile does not count."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chimle.io.file_locks import locked
from flows.disk import old_scratch, trim_scratch
from tests.support.repositories import run

_DAY = 86_400.0


def _old(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
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


def test_what_a_process_has_locked_stays(tmp_path: Path) -> None:
    """A training by hand, a download and the data of a task: no run of a flow, which `trim` waits
    for, and perhaps stopped for as long as what is old has lain there."""
    run(tmp_path, "git", "init", "-q")
    scratch = tmp_path / "scratch"
    for name in ("train/task/key", "train/task/other", "run_method/key", "run_method/other"):
        _old(scratch / name / "state.pt")
        _old(scratch / name / ".lock")
    for name in ("a.zip.part", "a.zip.part.json", "a.zip.lock", "b.zip"):
        _old(scratch / "downloads" / name)
    for name in ("fetch/task/key", "pair/task/key", "fetch/other/key"):
        _old(scratch / name / "journal.jsonl")
    locks = ("train/task/key/.lock", "run_method/key/.lock", "downloads/a.zip.lock")
    with ExitStack() as held:
        for name in (*locks, "locks/task-data.lock"):
            held.enter_context(locked(scratch / name))
        free = {"train/task/other", "run_method/other", "downloads/b.zip", "fetch/other/key"}
        assert set(old_scratch(tmp_path, 30)) == {scratch / name for name in free}
        trim_scratch(tmp_path, 30)
        assert (scratch / "train" / "task" / "key" / "state.pt").exists()
    assert len(old_scratch(tmp_path, 30)) == 7
