"""The engine compared with the reference: search, training, memory, each optimisation alone.

    python -m benchmarks.engine [--setups wide,small] [--parts comparison,optimisations,precision]

Both sides of a line have the same weights, images and candidates, and alternate in one process;
peak memory is measured in one process per side. The table is printed at the end, and the same
numbers are written to `scratch/benchmarks/engine.json`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import reference
from benchmarks.measure import (
    CONVOLUTION_GFLOP,
    MATRIX_GFLOP,
    convolution,
    has_fast_bf16,
    interleaved,
    machine,
    matrix_product,
    operations,
)
from benchmarks.reference import PUBLISHED, Optimisations
from benchmarks.scaling import in_process, scaling
from benchmarks.setups import SETUPS, Bench, arithmetic
from chimle.device import prepare_process
from chimle.io.files import write_text
from chimle.perceptual.random_projection import RandomProjection

PRECISION_IMAGES = {"wide": 24, "small": 120}
"""Images per setup whose decisions in fp32 and bf16 are compared."""
NEAR_TIE = 0.01
"""`search.near_tie` of the search that decides near ties in fp32."""
RESULTS = Path("scratch/benchmarks/engine.json")


def agreement(first: torch.Tensor, second: torch.Tensor) -> float:
    """Share of decisions on which two searches agree, where they agreed on all before it."""
    same = (first == second).int().cumprod(dim=1)
    decided = torch.cat((torch.ones_like(same[:, :1]), same[:, :-1]), dim=1)
    return float(same.sum() / decided.sum())


def timed(search: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
    """What a search chooses, and the seconds that it takes."""
    started = time.perf_counter()
    return search(), time.perf_counter() - started


def comparison(name: str, repeats: int) -> dict[str, float]:
    """Reference and engine: search, training and peak memory."""
    setup = SETUPS[name]
    published, fast = Bench.of(setup), Bench.of(setup)
    fast.to_channels_last()
    exact = published.reference_search(Optimisations(exact=True))
    agreed = agreement(exact, fast.engine_search())
    searches: list[Callable[[], object]] = [published.reference_search, fast.engine_search]
    steps = [
        published.reference_training(PUBLISHED, 1, fused=False, autocast=False),
        fast.engine_training(autocast=False),
    ]
    bf16 = has_fast_bf16()
    if bf16:
        agreed_low = agreement(exact, fast.engine_search(autocast=True))
        searches.append(partial(fast.engine_search, autocast=True))
        steps.append(fast.engine_training(autocast=True))
    published.prepare()
    search_seconds = interleaved(searches, repeats, warm=True)
    training_seconds = interleaved(steps, repeats)
    memory = [in_process(name, side)[1] for side in ("reference", "engine")]
    results = {
        "reference search s/image": search_seconds[0] / setup.images,
        "engine search s/image": search_seconds[1] / setup.images,
        "search ratio": search_seconds[0] / search_seconds[1],
        "reference training images/s": setup.images / training_seconds[0],
        "engine training images/s": setup.images / training_seconds[1],
        "training ratio": training_seconds[0] / training_seconds[1],
        "reference search GiB": memory[0],
        "engine search GiB": memory[1],
        "memory ratio": memory[1] / memory[0],
        "same codes as unoptimised exact search, fp32": agreed,
    }
    if bf16:
        results |= {
            "engine search s/image, bf16": search_seconds[2] / setup.images,
            "search ratio, bf16": search_seconds[0] / search_seconds[2],
            "engine training images/s, bf16": setup.images / training_seconds[2],
            "training ratio, bf16": training_seconds[0] / training_seconds[2],
            "same codes as unoptimised exact search, bf16": agreed_low,
        }
    return results


def precision(name: str, repeats: int) -> dict[str, float]:
    """Choices in bf16 compared with those in fp32. Slow on processors that emulate bf16."""
    del repeats
    setup = replace(SETUPS[name], images=PRECISION_IMAGES[name])
    bench = Bench.of(setup)
    bench.to_channels_last()
    exact = bench.engine_search()
    low, low_seconds = timed(partial(bench.engine_search, autocast=True))
    decided, decided_seconds = timed(partial(bench.engine_search, autocast=True, near_tie=NEAR_TIE))
    excess = bench.distances(low) / bench.distances(exact) - 1
    first = (exact == low).int().cumprod(dim=1).sum(dim=1)
    excesses = [
        float(excess[row, level]) for row, level in enumerate(first) if level < excess.shape[1]
    ]
    return {
        "images compared in fp32 and bf16": setup.images,
        "same codes as in fp32, bf16": agreement(exact, low),
        "same codes, near ties in fp32": agreement(exact, decided),
        "time of the search with near ties in fp32": decided_seconds / low_seconds,
        "decisions that differ": len(excesses),
        "largest excess of such a choice, fp32": max(excesses, default=0.0),
        "distance of the chosen codes, fp32": bench.finest_distance(exact),
        "distance of the chosen codes, bf16": bench.finest_distance(low),
    }


SEARCH_OPTIMISATIONS = {
    "cached prefix": Optimisations(prefix=True),
    "target features once, no unused upsampling": Optimisations(target_once=True),
    "exact distances": Optimisations(exact=True),
}
TRAINING_OPTIMISATIONS = {
    "no anomaly detection": Optimisations(no_anomaly=True),
    "cached targets": Optimisations(cached_targets=True),
}


def optimisations(name: str, repeats: int) -> dict[str, float]:
    """Each optimisation alone: times faster than the reference."""
    setup = SETUPS[name]
    published, last = Bench.of(setup), Bench.of(setup)
    last.to_channels_last()

    def search_bf16() -> None:
        with arithmetic(True):
            published.reference_search()

    searches: dict[str, Callable[[], object]] = {"reference": published.reference_search}
    for name_, change in SEARCH_OPTIMISATIONS.items():
        searches[name_] = partial(published.reference_search, change)
    searches |= {"channels_last": last.reference_search, "bf16": search_bf16}
    published.reference_search(Optimisations(prefix=True, exact=True))
    published.prepare()
    last.prepare()
    times = interleaved(list(searches.values()), repeats, warm=True)
    results = {
        f"search: {name_}": times[0] / time
        for name_, time in zip(searches, times, strict=True)
        if name_ != "reference"
    }
    steps = {"reference": published.reference_training(PUBLISHED, 1, fused=False, autocast=False)}
    for name_, change in TRAINING_OPTIMISATIONS.items():
        steps[name_] = published.reference_training(change, 1, fused=False, autocast=False)
    steps |= {
        "fused optimiser": published.reference_training(PUBLISHED, 1, fused=True, autocast=False),
        "channels_last": last.reference_training(PUBLISHED, 1, fused=False, autocast=False),
        f"batch {setup.batch}": published.reference_training(
            PUBLISHED, setup.batch, fused=False, autocast=False
        ),
        "bf16": published.reference_training(PUBLISHED, 1, fused=False, autocast=True),
    }
    times = interleaved(list(steps.values()), repeats)
    return results | {
        f"training: {name_}": times[0] / time
        for name_, time in zip(steps, times, strict=True)
        if name_ != "reference"
    }


def nearness(name: str, repeats: int) -> dict[str, float]:
    """Distance of the chosen codes' images at the finest level, exact and projected search."""
    del repeats
    bench = Bench.of(SETUPS[name])
    bench.to_channels_last()
    bench.tower.eval()
    projected, results = RandomProjection(bench.perceptual, reference.PROJECTED), {}
    for divisor in (8, 4, 2, 1):
        candidates = [max(1, count // divisor) for count in bench.setup.candidates]
        for kind, distance in (("exact", bench.perceptual), ("projected", projected)):
            indices = bench.search(candidates, distance)
            results[f"distance, {kind}, {'/'.join(map(str, candidates))}"] = bench.finest_distance(
                indices
            )
    return results


def limits(name: str, repeats: int) -> dict[str, float]:
    """Operations of both sides, and the rate of such operations on this machine."""
    bench = Bench.of(SETUPS[name])
    bench.prepare()
    reference_operations = operations(bench.reference_search)
    bench.to_channels_last()
    search = operations(bench.engine_search)
    results = {"reference search TFLOP": reference_operations, "engine search TFLOP": search}
    dtypes = (torch.float32, torch.bfloat16) if has_fast_bf16() else (torch.float32,)
    for dtype in dtypes:
        low, kind = dtype is torch.bfloat16, str(dtype).removeprefix("torch.")
        run = bench.engine_training(autocast=low)
        train = operations(run)
        product_seconds, convolution_seconds, *times = interleaved(
            [
                matrix_product(dtype),
                convolution(dtype),
                partial(bench.engine_search, autocast=low),
                run,
            ],
            repeats,
        )
        results |= {
            "engine training TFLOP": train,
            f"matrix product GFLOP/s, {kind}": MATRIX_GFLOP / product_seconds,
            f"convolution GFLOP/s, {kind}": CONVOLUTION_GFLOP / convolution_seconds,
            f"engine search GFLOP/s, {kind}": search / times[0] * 1e3,
            f"engine training GFLOP/s, {kind}": train / times[1] * 1e3,
        }
    return results


PARTS: dict[str, Callable[[str, int], dict[str, float]]] = {
    "comparison": comparison,
    "optimisations": optimisations,
    "nearness": nearness,
    "scaling": scaling,
    "precision": precision,
    "limits": limits,
}
DEFAULT_PARTS = {"wide": ("comparison", "limits"), "small": tuple(PARTS)}
"""Parts that run without `--parts`."""


def main() -> None:
    """Run the parts; print the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setups", default=",".join(SETUPS))
    parser.add_argument("--parts", help="default: those of the setup")
    parser.add_argument("--repeats", type=int, default=1, help="repetitions that are counted")
    arguments = parser.parse_args()
    prepare_process()
    lines, results, started = [], {}, time.perf_counter()
    for setup in arguments.setups.split(","):
        for part in arguments.parts.split(",") if arguments.parts else DEFAULT_PARTS[setup]:
            results[f"{setup}/{part}"] = numbers = PARTS[part](setup, arguments.repeats)
            new = [f"{setup:6} {quantity:45} {value:9.4g}" for quantity, value in numbers.items()]
            print(*new, sep="\n", file=sys.stderr, flush=True)
            lines += new
    write_text(RESULTS, json.dumps({"machine": machine(), **results}, indent=1) + "\n")
    print(machine(), *lines, f"{time.perf_counter() - started:.0f} s", sep="\n")


if __name__ == "__main__":
    main()
