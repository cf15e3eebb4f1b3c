"""Sampling compared with the published forward pass: rate, memory, and agreement.

    python -m benchmarks.sampling [--repeats 3]

Each line is one process with the same random weights, image and codes on both sides, which
alternate.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks import reference
from benchmarks.measure import interleaved, machine, peak_gib
from chimle.device import Precision, arithmetic, prepare_process
from chimle.images.pyramid import to_uint8
from chimle.inference.banded import BandedTower
from chimle.inference.sample_names import Codes, mixture_of, plain
from chimle.search.codes import draw
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower

TOWERS = {
    "demo": TowerSettings(),
    "wide": TowerSettings(
        resolution=128, widths=(128, 64, 64, 64), growth=(256, 192, 128, 64), blocks=1
    ),
    "published": TowerSettings(
        resolution=256, widths=(128, 64, 64, 64), growth=(256, 192, 128, 64), blocks=6
    ),
}


@dataclass(frozen=True)
class Case:
    """One line of the table: a tower, the side of a square image, the number of samples."""

    tower: str
    side: int
    samples: int


CPU = torch.device("cpu")
CASES = (
    Case("demo", 64, 8),
    Case("demo", 256, 8),
    Case("demo", 1024, 2),
    Case("wide", 128, 8),
    Case("wide", 512, 2),
    Case("published", 256, 2),
)


@torch.no_grad()
def measure(case: Case, side: str, repeats: int) -> dict[str, object]:
    """Seconds per sample of `side` (`all` or one of them) and this process's peak memory."""
    prepare_process()
    torch.manual_seed(0)
    settings = TOWERS[case.tower]
    tower = Tower(settings, Wiring.GENERIC).eval().requires_grad_(False)
    shifts = range(settings.levels - 1, -1, -1)
    conditioning = [torch.rand((1, 3, case.side >> s, case.side >> s)) for s in shifts]
    shapes = tower.code_shapes_for(conditioning)

    def published() -> np.ndarray:
        images = []
        for number in range(case.samples):
            index = torch.tensor([[number]])
            codes = [
                draw(shape, [1], index, level=level, seed=0, purpose="sample")
                for level, shape in enumerate(shapes)
            ]
            images.append(to_uint8(reference.forward(tower, conditioning, codes)[-1]))
        return np.concatenate(images)

    def engine(precision: Precision = "fp32") -> np.ndarray:
        mixtures = [mixture_of(name) for name in plain(case.samples, settings.levels)]
        parts = []
        for mixture in mixtures:
            codes = Codes([mixture], shapes, 1, 0, CPU)
            with arithmetic(CPU, precision):
                parts.append(BandedTower(tower, conditioning, codes).images())
        return np.concatenate(parts)

    sides: dict[str, Callable[[], np.ndarray]] = {
        "published": published,
        "engine": engine,
        "bf16": partial(engine, "bf16"),
    }
    if side != "all":
        sides[side]()
        return {"peak_gib": peak_gib()}
    exact = published().astype(int)
    differences = {
        f"{name}_difference": int(np.abs(exact - run()).max())
        for name, run in sides.items()
        if name != "published"
    }
    seconds = interleaved(list(sides.values()), repeats)
    return {
        **{f"{name}_seconds": s / case.samples for name, s in zip(sides, seconds, strict=True)},
        **differences,
    }


def in_process(number: int, side: str, repeats: int) -> dict[str, float]:
    """`measure` in a process of its own, so that its memory is measured alone."""
    command = [sys.executable, "-m", "benchmarks.sampling", "--repeats", str(repeats)]
    command += ["--case", str(number), "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    results: dict[str, float] = json.loads(done.stdout)
    return results


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="repetitions that are counted")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        print(json.dumps(measure(CASES[arguments.case], arguments.side, arguments.repeats)))
        return
    print(machine())
    print(
        f"{'tower':10} {'side':>5} {'samples':>7} {'published s':>11} {'ours s':>8} {'ratio':>6} "
        f"{'bf16 s':>8} {'ratio':>6} {'published GiB':>13} {'ours GiB':>8} {'differ by':>9} "
        f"{'bf16':>9}",
        flush=True,
    )
    for number, case in enumerate(CASES):
        times = in_process(number, "all", arguments.repeats)
        before, after, low = (times[f"{side}_seconds"] for side in ("published", "engine", "bf16"))
        memory = [in_process(number, side, 0)["peak_gib"] for side in ("published", "engine")]
        print(
            f"{case.tower:10} {case.side:5} {case.samples:7} {before:11.3f} {after:8.3f} "
            f"{before / after:6.2f} {low:8.3f} {before / low:6.2f} {memory[0]:13.2f} "
            f"{memory[1]:8.2f} {times['engine_difference']:5}/255 {times['bf16_difference']:5}/255",
            flush=True,
        )


if __name__ == "__main__":
    main()
