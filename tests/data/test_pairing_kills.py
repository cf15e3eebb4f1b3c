"""Pairing is killed at random moments: the next run goes on, and no process stays behind."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.helpers import KILLS, ROOT
from tests.support.projects import write_photographs, write_project
from tests.support.repositories import environment
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
TASK = "decompression"
_MARK = "CHIMLE_TEST_MARK"


def begin(stage: str, root: Path) -> subprocess.Popen[str]:
    """A stage on a project, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}", TASK, "--root", str(root)],
        cwd=ROOT,
        env={**environment(root), _MARK: str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(stage: str, root: Path) -> None:
    process = begin(stage, root)
    said = process.communicate()[1]
    assert process.returncode == 0, said


def left_over(root: Path) -> list[psutil.Process]:
    """Living processes that a stage on this project has begun."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(_MARK) == str(root)
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_often(stage: str, root: Path, out: Path, longest: float) -> None:
    """Kill a stage `KILLS` times; should one run end before its turn, its result goes."""
    chance, kills = random.Random(int(os.environ.get("CHIMLE_FAULT_SEED", "0"))), 0
    while kills < KILLS:
        process = begin(stage, root)
        time.sleep(chance.uniform(0.2, longest))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        else:
            assert process.returncode == 0, process.stderr and process.stderr.read()
            subprocess.run(["rm", "-rf", str(out)], check=True)
        process.wait()
    wait_until(lambda: not left_over(root), 120)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_pairing_that_is_killed_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    write_photographs(tmp_path / "given", count=180, size=96)
    source = {"kind": "folder", "path": "../given"}
    roots = [write_project(tmp_path / name, {TASK: {"source": source}}) for name in ("a", "b")]
    out = [root / "data" / "pairs" / TASK for root in roots]
    for root in roots:
        finish("fetch", root)
    begun = time.monotonic()
    finish("pair", roots[0])
    kill_often("pair", roots[1], out[1], longest=time.monotonic() - begun)
    finish("pair", roots[1])
    assert contents(out[0]) == contents(out[1])
    assert [path.name for path in out[1].parent.iterdir()] == [TASK]
