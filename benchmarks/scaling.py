"""How the engine's search grows: with candidates, pictures, resolution and ranks.

python -m benchmarks.scaling SETUP      # what benchmarks.engine runs in processes of their own
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks.measure import added_gib
from benchmarks.setups import SETUPS, Bench, Setup
from chimle.device import flush_denormals
from chimle.training.distributed import join_ranks

SCALED: dict[str, Callable[[Setup], Setup]] = {
    "as it is": lambda s: s,
    "four times the candidates": lambda s: replace(
        s, candidates=tuple(4 * c for c in s.candidates)
    ),
    "four times the pictures": lambda s: replace(s, pictures=4 * s.pictures),
    "64 pixels": lambda s: replace(s, resolution=64),
    "256 pixels": lambda s: replace(s, resolution=256),
}


def in_process(setup: str, side: str, scaled: str = "as it is") -> tuple[float, float]:
    """Seconds of a side's search, and GiB that it adds to what its process held before."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.scaling", setup]
    done = subprocess.run(
        [*command, "--side", side, "--scaled", scaled], capture_output=True, text=True, check=True
    )
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def time_and_memory(setup: Setup, side: str) -> tuple[float, float]:
    """The same, in this process."""
    bench, spent = Bench.of(setup), []

    def run() -> None:
        started = time.perf_counter()
        bench.textbook_search() if side == "textbook" else bench.engine_search()
        spent.append(time.perf_counter() - started)

    if side != "textbook":
        bench.to_channels_last()
    memory = added_gib(run)
    return spent[0], memory


def scaling(name: str, repeats: int) -> dict[str, float]:
    """(c) The engine's search as the work grows: seconds a picture, and memory."""
    del repeats
    found = {}
    for what, scaled in SCALED.items():
        seconds, memory = in_process(name, "engine", what)
        found[f"search s/picture, {what}"] = seconds / scaled(SETUPS[name]).pictures
        found[f"search GiB, {what}"] = memory
    for ranks in (1, 2):
        found[f"search s/picture, {ranks} ranks of 1 thread"] = with_ranks(name, ranks)
    return found


def with_ranks(name: str, count: int) -> float:
    """Seconds a picture of a search that `torchrun` shares out."""
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


def rank_of(setup: Setup) -> None:
    """One rank's part of `with_ranks`; the first prints."""
    bench = Bench.of(setup)
    bench.to_channels_last()
    with join_ranks() as ranks:
        own = ranks.shard(len(bench.batch))
        bench.batch = bench.batch.select(range(own.start, own.stop))
        ranks.barrier()
        started = time.perf_counter()
        ranks.gathered(bench.engine_search(), setup.pictures)
        if ranks.first:
            print((time.perf_counter() - started) / setup.pictures)


def main() -> None:
    """Seconds and memory of a side, or a rank's part of a search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("setup", choices=SETUPS)
    parser.add_argument("--side", choices=("textbook", "engine"))
    parser.add_argument("--scaled", choices=SCALED, default="as it is")
    given = parser.parse_args()
    flush_denormals()
    setup = SCALED[given.scaled](SETUPS[given.setup])
    if given.side:
        print(*time_and_memory(setup, given.side))
    else:
        rank_of(setup)


if __name__ == "__main__":
    main()
