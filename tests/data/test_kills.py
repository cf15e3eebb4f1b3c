"""Fetching is killed at random moments: the next run goes on, and the result is the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.test_bad_inputs import everything
from tests.support.helpers import KILLS, ROOT
from tests.support.misbehaving import Site
from tests.support.projects import write_project
from tests.support.world import TASK, World, tar

pytestmark = pytest.mark.slow


def noise(number: int) -> bytes:
    """An image that does not pack: a download of it takes its time."""
    import io

    values = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()


def start(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.fetch", TASK, "--root", str(root)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(root: Path) -> dict[str, bytes | None]:
    """Let it run to its end; what it has made."""
    process = start(root)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    raw = root / "data" / "raw" / TASK
    return {os.path.relpath(path, raw): content for path, content in everything(raw).items()}


def kill_when(root: Path, moment: Callable[[], bool]) -> bool:
    """Start it and kill it at a moment; whether it had not ended by then."""
    process = start(root)
    while not moment():
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()[1]
            return False
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def forget(root: Path) -> None:
    """Remove what a run that ended before its kill has made."""
    for name in ("data/raw", "scratch/fetch"):
        shutil.rmtree(root / name, ignore_errors=True)


def part_size(root: Path) -> int:
    return sum(part.stat().st_size for part in (root / "scratch" / "downloads").glob("*.part"))


def test_a_killed_download_goes_on(site: Site, tmp_path: Path) -> None:
    content = tar(*((f"{number}.png", noise(number)) for number in range(40)))
    address = site.put("/a.tar", content)
    source = {TASK: {"source": {"kind": "url", "archives": [address]}}}
    undisturbed = finish(write_project(tmp_path / "undisturbed", source))
    site.put("/a.tar", content, pause=0.01, chunk=4096)
    root, dice = write_project(tmp_path / "killed", source), random.Random(4)
    site.requests.clear()
    starts: list[int | None] = [None]
    for _ in range(KILLS):
        goal = part_size(root) + dice.randrange(1, len(content) // (KILLS + 4))
        assert kill_when(root, partial(lambda least: part_size(root) >= least, goal))
        starts.append(part_size(root))
    assert finish(root) == undisturbed
    # Nothing that was kept is asked for again.
    assert [one.start for one in site.gets("/a.tar")] == starts


def test_a_killed_unpacking_goes_on(site: Site, tmp_path: Path) -> None:
    content = tar(*((f"{number}.png", noise(number)) for number in range(90)))
    source = {TASK: {"source": {"kind": "url", "archives": [site.put("/a.tar", content)]}}}
    undisturbed = finish(write_project(tmp_path / "undisturbed", source))
    root, dice = write_project(tmp_path / "killed", source), random.Random(4)

    def files() -> int:
        work = root / "scratch" / "fetch"
        return sum(len(names) for _, _, names in os.walk(work))

    for number in range(3):
        goal = dice.randrange(1, 30) + 30 * number
        while not kill_when(root, partial(lambda least: files() >= least, goal)):
            forget(root)
    assert finish(root) == undisturbed
    assert len(site.gets("/a.tar")) == 2


@pytest.fixture
def slow_bucket(world: World) -> World:
    """One transfer at a time."""
    world.bucket(*((f"set/{number:03}.png", noise(number)) for number in range(60)), transfers=1)
    return world


def test_a_killed_transfer_goes_on(slow_bucket: World, tmp_path: Path) -> None:
    source = (slow_bucket.root / "params.yaml").read_text()
    roots = [write_project(tmp_path / name, {}) for name in ("undisturbed", "killed")]
    for root in roots:
        (root / "params.yaml").write_text(source)
    undisturbed, root, dice = finish(roots[0]), roots[1], random.Random(4)

    def arrived() -> dict[str, int]:
        """Files that are whole, and which ones: one that came again would be another."""
        trees = (root / "scratch" / "fetch").glob("*/*/source/tree")
        files = (file for tree in trees for file in tree.glob("[!.]*"))
        return {file.name: file.stat().st_ino for file in files}

    for number in range(4):
        before, goal = arrived(), 12 * number + dice.randrange(1, 12)
        while not kill_when(root, partial(lambda least: len(arrived()) >= least, goal)):
            forget(root)
            before = {}
        assert before.items() <= arrived().items()
    assert finish(root) == undisturbed
