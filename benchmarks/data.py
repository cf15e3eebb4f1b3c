"""`python -m benchmarks.data`: cost of fetching, pairing and reading a large folder of images.

Generates images, kills fetch and pair once in the middle, resumes them, and reads pairs as training
does. Rates are images per second of wall-clock time, killed runs included; memory is the
peak of all processes of a stage together.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from PIL import Image

from chimle.data.dataset import PairIndex
from chimle.io.journal import journalled

TASK = "colourization"
SIDE = 64


def _project(root: Path) -> None:
    """A project whose one task reads `images/`."""
    (root / "presets").mkdir(parents=True, exist_ok=True)
    sections = {"pair": {"size": SIDE}, "tower": {"resolution": SIDE}}
    (root / "presets" / "demo.yaml").write_text(yaml.safe_dump(sections))
    source = {"kind": "folder", "path": "images"}
    params = {"preset": "demo", "seed": 0, "tasks": {TASK: {"source": source}}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


class _WriteImage:
    """Writes one random smooth JPEG, a thousand per folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> dict[str, Any]:
        path = self.folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)
        image.save(path, quality=90)
        return {}


def _resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants; shared pages count for each."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def run_stage(stage: str, root: Path, kill_after: float | None = None) -> tuple[float, int]:
    """Seconds and peak bytes of a stage, which is killed after `kill_after` seconds if given."""
    command = [sys.executable, "-m", f"stages.{stage}", TASK, "--root", str(root)]
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    monitored = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, _resident(monitored) if monitored.is_running() else 0)
        if kill_after is not None and time.monotonic() - started > kill_after:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.2)
    if process.returncode and kill_after is None:
        raise SystemExit(f"stages.{stage} exited with {process.returncode}")
    return time.monotonic() - started, peak


def measure_stage(stage: str, root: Path, count: int, kill_after: float) -> dict[str, Any]:
    """Cost of a stage that is killed once and then resumed."""
    killed, first_peak = run_stage(stage, root, kill_after)
    resumed, second_peak = run_stage(stage, root)
    return {
        "stage": stage,
        "images": count,
        "seconds": round(killed + resumed, 1),
        "images_per_second": round(count / (killed + resumed), 1),
        "killed_after_seconds": round(killed, 1),
        "peak_mebibytes": round(max(first_peak, second_peak) / 2**20),
    }


def measure_reading(root: Path, rounds: int, per_round: int) -> dict[str, Any]:
    """Cost of reading pairs as training does: a random subset per round."""
    process, peak = psutil.Process(), 0
    started = time.monotonic()
    index = PairIndex(root / "data" / "pairs" / TASK, "train")
    index_seconds = time.monotonic() - started
    before = process.memory_info().rss
    started = time.monotonic()
    for number in range(rounds):
        members = np.random.default_rng(number).permutation(len(index))[:per_round]
        for member in sorted(members):
            assert index[int(member)].target.shape == (SIDE, SIDE, 3)
        peak = max(peak, process.memory_info().rss - before)
    seconds = time.monotonic() - started
    return {
        "stage": "read",
        "images": rounds * per_round,
        "seconds": round(seconds, 1),
        "images_per_second": round(rounds * per_round / seconds, 1),
        "index_seconds": round(index_seconds, 1),
        "peak_mebibytes": round(peak / 2**20),
    }


def main(root: Path, count: int) -> None:
    """Generate, fetch, pair and read; print one line of JSON each."""
    _project(root)
    existing = journalled(root / "made.jsonl", range(count), _WriteImage(root / "images"))
    print(f"{count - existing:,} images generated", flush=True)
    for stage in ("fetch", "pair"):
        shutil.rmtree(root / "data" / {"fetch": "raw", "pair": "pairs"}[stage], ignore_errors=True)
        shutil.rmtree(root / "scratch" / stage, ignore_errors=True)
        print(
            json.dumps(measure_stage(stage, root, count, kill_after=max(4.0, count / 2000))),
            flush=True,
        )
    print(json.dumps(measure_reading(root, rounds=4, per_round=min(2000, count // 4))), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("scratch") / "benchmark-data")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.count)
