"""Scaling of the engine's search with candidates, images, resolution and ranks.

python -m benchmarks.scaling SETUP      # run by benchmarks.engine, in separate processes
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.measure import added_gib
from benchmarks.setups import SETUPS, Bench, Setup
from chimle.device import flush_denormals
from chimle.training.distributed import join_ranks

SCALED: dict[str, Callable[[Setup], Setup]] = {
    "baseline": lambda s: s,
    "four times the candidates": lambda s: replace(
        s, candidates=tuple(4 * c for c in s.candidates)
    ),
    "four times the images": lambda s: replace(s, images=4 * s.images),
    "64 pixels": lambda s: replace(s, resolution=64),
    "256 pixels": lambda s: replace(s, resolution=256),
}


def in_process(setup: str, side: str, scaled: str = "baseline") -> tuple[float, float]:
    """Seconds of a side's search, and GiB that it adds to its process."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.scaling", setup]
    done = subprocess.run(
        [*command, "--side", side, "--scaled", scaled], capture_output=True, text=True, check=True
    )
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def time_and_memory(setup: Setup, side: str) -> tuple[float, float]:
    """The same as `in_process`, in this process."""
    bench, times = Bench.of(setup), []

    def run() -> None:
        started = time.perf_counter()
        bench.reference_search() if side == "reference" else bench.engine_search()
        times.append(time.perf_counter() - started)

    if side != "reference":
        bench.to_channels_last()
    memory = added_gib(run)
    return times[0], memory


def scaling(name: str, repeats: int) -> dict[str, float]:
    """The engine's search as the work grows: seconds per image, and memory."""
    del repeats
    results = {}
    for change, scale in SCALED.items():
        seconds, memory = in_process(name, "engine", change)
        results[f"search s/image, {change}"] = seconds / scale(SETUPS[name]).images
        results[f"search GiB, {change}"] = memory
    for ranks in (1, 2):
        results[f"search s/image, {ranks} ranks of 1 thread"] = with_ranks(name, ranks)
    return results


def with_ranks(name: str, count: int) -> float:
    """Seconds per image of a search on `count` ranks under `torchrun`."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    worker = ["-m", "benchmarks.scaling", name]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *torchrun, *worker],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return float(done.stdout)


def search_shard(setup: Setup) -> None:
    """One rank's part of `with_ranks`; the first rank prints."""
    bench = Bench.of(setup)
    bench.to_channels_last()
    with join_ranks(torch.device("cpu")) as (ranks, _device):
        rows = ranks.shard(len(bench.batch))
        bench.batch = bench.batch.select(range(rows.start, rows.stop))
        ranks.barrier()
        started = time.perf_counter()
        ranks.gathered(bench.engine_search(), setup.images)
        if ranks.first:
            print((time.perf_counter() - started) / setup.images)


def main() -> None:
    """Measure one side, or search one rank's part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setup", choices=SETUPS)
    parser.add_argument("--side", choices=("reference", "engine"))
    parser.add_argument("--scaled", choices=SCALED, default="baseline")
    arguments = parser.parse_args()
    flush_denormals()  # Not `prepare_process`: kept memory would hide what a search adds.
    setup = SCALED[arguments.scaled](SETUPS[arguments.setup])
    if arguments.side:
        print(*time_and_memory(setup, arguments.side))
    else:
        search_shard(setup)


if __name__ == "__main__":
    main()
