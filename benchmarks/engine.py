"""The engine against the textbook: search, training, memory, and what each saving gives.

    python -m benchmarks.engine [--setups wide,small] [--parts against,savings,precision]

Both sides of a line have the same weights, pictures and candidates, and run in turns in one
process; peak memory is measured in a process per side. The table comes last; the same numbers lie
in `scratch/benchmarks/engine.json`.
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

from benchmarks import reference as textbook
from benchmarks.measure import (
    CONVOLUTION_GFLOP,
    MATRIX_GFLOP,
    convolution_of,
    interleaved,
    machine,
    matrix_product,
    operations,
    quick_bf16,
)
from benchmarks.reference import PUBLISHED, Savings
from benchmarks.scaling import in_process, scaling
from benchmarks.setups import SETUPS, Bench, arithmetic
from chimle.device import flush_denormals
from chimle.io.files import write_text
from chimle.perceptual.random_projection import RandomProjection

JUDGED = {"wide": 8, "small": 24}
"""Pictures whose decisions in fp32 and in bf16 are compared."""
RESULTS = Path("scratch/benchmarks/engine.json")


def agreement(first: torch.Tensor, second: torch.Tensor) -> float:
    """Share of decisions on which two searches agree, where they agreed on all before it."""
    same = (first == second).int().cumprod(dim=1)
    decided = torch.cat((torch.ones_like(same[:, :1]), same[:, :-1]), dim=1)
    return float(same.sum() / decided.sum())


def against(name: str, repeats: int) -> dict[str, float]:
    """(a) Textbook and engine, side by side."""
    setup = SETUPS[name]
    plain, fast = Bench.of(setup), Bench.of(setup)
    fast.to_channels_last()
    exact = plain.textbook_search(Savings(exact=True))
    agreed = agreement(exact, fast.engine_search())
    ours = Savings(no_anomaly=True, cached_targets=True)
    searches: list[Callable[[], object]] = [plain.textbook_search, fast.engine_search]
    steps = [
        plain.training(PUBLISHED, 1, fused=False, autocast=False),
        fast.training(ours, setup.batch, fused=True, autocast=False),
    ]
    quick = quick_bf16()
    if quick:
        agreed_low = agreement(exact, fast.engine_search(autocast=True))
        searches.append(partial(fast.engine_search, autocast=True))
        steps.append(fast.training(ours, setup.batch, fused=True, autocast=True))
    plain.prepare()
    searched = interleaved(searches, repeats, warm=True)
    trained = interleaved(steps, repeats)
    memory = [in_process(name, side)[1] for side in ("textbook", "engine")]
    found = {
        "textbook search s/picture": searched[0] / setup.pictures,
        "engine search s/picture": searched[1] / setup.pictures,
        "search ratio": searched[0] / searched[1],
        "textbook training pictures/s": setup.pictures / trained[0],
        "engine training pictures/s": setup.pictures / trained[1],
        "training ratio": trained[0] / trained[1],
        "textbook search GiB": memory[0],
        "engine search GiB": memory[1],
        "memory ratio": memory[1] / memory[0],
        "same codes as plain exact search, fp32": agreed,
    }
    if quick:
        found |= {
            "engine search s/picture, bf16": searched[2] / setup.pictures,
            "search ratio, bf16": searched[0] / searched[2],
            "engine training pictures/s, bf16": setup.pictures / trained[2],
            "training ratio, bf16": trained[0] / trained[2],
            "same codes as plain exact search, bf16": agreed_low,
        }
    return found


def precision(name: str, repeats: int) -> dict[str, float]:
    """Choices in bf16 beside those in fp32. Slow where a processor must emulate bf16."""
    del repeats
    setup = replace(SETUPS[name], pictures=JUDGED[name])
    bench = Bench.of(setup)
    bench.to_channels_last()
    exact, low = bench.engine_search(), bench.engine_search(autocast=True)
    excess = bench.distances(low) / bench.distances(exact) - 1
    first = (exact == low).int().cumprod(dim=1).sum(dim=1)
    lost = [float(excess[row, level]) for row, level in enumerate(first) if level < excess.shape[1]]
    return {
        "pictures judged in fp32 and in bf16": setup.pictures,
        "same codes as in fp32, bf16": agreement(exact, low),
        "decisions that differ": len(lost),
        "largest excess in fp32 of such a choice": max(lost, default=0.0),
        "distance of the codes chosen, fp32": bench.reached(exact),
        "distance of the codes chosen, bf16": bench.reached(low),
    }


SEARCH_SAVINGS = {
    "prefix kept": Savings(prefix=True),
    "target features once, no needless way up": Savings(target_once=True),
    "exact distances": Savings(exact=True),
}
TRAINING_SAVINGS = {
    "no anomaly detection": Savings(no_anomaly=True),
    "cached targets": Savings(cached_targets=True),
}


def savings(name: str, repeats: int) -> dict[str, float]:
    """(b) Each saving switched on alone: how many times faster than the textbook."""
    setup = SETUPS[name]
    plain, last = Bench.of(setup), Bench.of(setup)
    last.to_channels_last()

    def search_bf16() -> None:
        with arithmetic(True):
            plain.textbook_search()

    searches: dict[str, Callable[[], object]] = {"textbook": plain.textbook_search}
    for saving, what in SEARCH_SAVINGS.items():
        searches[saving] = partial(plain.textbook_search, what)
    searches |= {"channels_last": last.textbook_search, "bf16": search_bf16}
    plain.textbook_search(Savings(prefix=True, exact=True))
    plain.prepare()
    last.prepare()
    times = interleaved(list(searches.values()), repeats, warm=True)
    found = {
        f"search: {saving}": times[0] / time
        for saving, time in zip(searches, times, strict=True)
        if saving != "textbook"
    }
    steps = {"textbook": plain.training(PUBLISHED, 1, fused=False, autocast=False)}
    for saving, what in TRAINING_SAVINGS.items():
        steps[saving] = plain.training(what, 1, fused=False, autocast=False)
    steps |= {
        "fused optimiser": plain.training(PUBLISHED, 1, fused=True, autocast=False),
        "channels_last": last.training(PUBLISHED, 1, fused=False, autocast=False),
        f"batch {setup.batch}": plain.training(PUBLISHED, setup.batch, fused=False, autocast=False),
        "bf16": plain.training(PUBLISHED, 1, fused=False, autocast=True),
    }
    times = interleaved(list(steps.values()), repeats)
    return found | {
        f"training: {saving}": times[0] / time
        for saving, time in zip(steps, times, strict=True)
        if saving != "textbook"
    }


def nearness(name: str, repeats: int) -> dict[str, float]:
    """How near the chosen codes' pictures come at the finest level: exactly, and by projections."""
    del repeats
    bench = Bench.of(SETUPS[name])
    bench.to_channels_last()
    bench.tower.eval()
    projected, found = RandomProjection(bench.perceptual, textbook.PROJECTED), {}
    for part in (8, 4, 2, 1):
        candidates = [max(1, count // part) for count in bench.setup.candidates]
        for kind, distance in (("exact", bench.perceptual), ("projected", projected)):
            indices = bench.searched(candidates, distance)
            found[f"distance, {kind}, {'/'.join(map(str, candidates))}"] = bench.reached(indices)
    return found


def limits(name: str, repeats: int) -> dict[str, float]:
    """What arithmetic both sides do, and how fast this machine does such arithmetic."""
    bench = Bench.of(SETUPS[name])
    bench.prepare()
    plain = operations(bench.textbook_search)
    bench.to_channels_last()
    search = operations(bench.engine_search)
    ours = Savings(no_anomaly=True, cached_targets=True)
    found = {"textbook search TFLOP": plain, "engine search TFLOP": search}
    for number in (torch.float32, torch.bfloat16) if quick_bf16() else (torch.float32,):
        low, kind = number is torch.bfloat16, str(number).removeprefix("torch.")
        run = bench.training(ours, bench.setup.batch, fused=True, autocast=low)
        train = operations(run)
        product, convolved, *times = interleaved(
            [
                matrix_product(number),
                convolution_of(number),
                partial(bench.engine_search, autocast=low),
                run,
            ],
            repeats,
        )
        found |= {
            "engine training TFLOP": train,
            f"matrix product GFLOP/s, {kind}": MATRIX_GFLOP / product,
            f"convolution GFLOP/s, {kind}": CONVOLUTION_GFLOP / convolved,
            f"engine search GFLOP/s, {kind}": search / times[0] * 1e3,
            f"engine training GFLOP/s, {kind}": train / times[1] * 1e3,
        }
    return found


PARTS: dict[str, Callable[[str, int], dict[str, float]]] = {
    "against": against,
    "savings": savings,
    "nearness": nearness,
    "scaling": scaling,
    "precision": precision,
    "limits": limits,
}
USUAL = {"wide": ("against", "limits"), "small": tuple(PARTS)}
"""What is run where nothing is said."""


def main() -> None:
    """Print a table, last of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--setups", default=",".join(SETUPS))
    parser.add_argument("--parts", help="those that the setup usually has")
    parser.add_argument("--repeats", type=int, default=1, help="turns that are counted")
    given = parser.parse_args()
    flush_denormals()
    lines, found, started = [], {}, time.perf_counter()
    for setup in given.setups.split(","):
        for part in given.parts.split(",") if given.parts else USUAL[setup]:
            found[f"{setup}/{part}"] = numbers = PARTS[part](setup, given.repeats)
            new = [f"{setup:6} {what:45} {value:9.4g}" for what, value in numbers.items()]
            print(*new, sep="\n", file=sys.stderr, flush=True)
            lines += new
    write_text(RESULTS, json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    print(machine(), *lines, f"{time.perf_counter() - started:.0f} s", sep="\n")


if __name__ == "__main__":
    main()
