"""Two processes of one stage at once: one after the other, and the data is that of a single one."""

import subprocess
import sys
from pathlib import Path

import pytest

from chimle.data.task_lock import task_lock
from tests.support.helpers import ROOT
from tests.support.projects import write_photographs, write_project
from tests.support.world import TASK


def start(stage: str, root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"stages.{stage}", TASK, "--root", str(root), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> None:
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert not said


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def project(root: Path) -> Path:
    write_photographs(root / "photos", count=20)
    return write_project(root, {TASK: {"source": {"kind": "folder", "path": "photos"}}})


@pytest.mark.timeout(300)
def test_two_processes_of_a_stage_make_the_data_of_one(tmp_path: Path) -> None:
    alone, twice = project(tmp_path / "alone"), project(tmp_path / "twice")
    for stage, out in (("fetch", "raw"), ("pair", "pairs")):
        finish(start(stage, alone))
        with task_lock(twice, TASK, "test"):
            both = [start(stage, twice) for _ in range(2)]
            for process in both:
                assert line(process) == (
                    f"{stage}: another process writes the data of {TASK}, waiting"
                )
            assert not (twice / "data" / out).exists()
        for process in both:
            finish(process)
        assert contents(twice / "data" / out) == contents(alone / "data" / out)


@pytest.mark.timeout(300)
def test_a_change_is_accepted_when_no_stage_reads_the_downloads(tmp_path: Path) -> None:
    """A check that accepts nothing does not wait."""
    root = project(tmp_path)
    with task_lock(root, TASK, "test"):
        finish(start("check", root))
        accepting = start("check", root, "--accept")
        assert line(accepting) == f"check: another process writes the data of {TASK}, waiting"
    finish(accepting)
