"""What agreement with the input costs a tower: the same tower with `agreement: exact` and `none`.

    python -m benchmarks.agreement [--repeats 5]

The sizes of preset `showcase`, random weights and images, milliseconds per image; the two towers of
a line alternate. A training step is forward and backward, without the distance.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import has_fast_bf16, interleaved, machine
from chimle.device import arithmetic, prepare_process
from chimle.images.jpeg import JpegCode, JpegIntervals, intervals_of, quality_tables
from chimle.search.codes import code_keys, codes_at
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring, get_task
from chimle.tower.generator import LevelCode, Tower

IMAGES = 4
CPU = torch.device("cpu")
TASKS = ("super_resolution", "colourization", "decompression")
"""Those with a known degradation."""


@dataclass(frozen=True)
class Inputs:
    """What both towers of a line are given."""

    conditioning: Sequence[Tensor]
    codes: Sequence[LevelCode]
    jpeg: JpegIntervals | None

    @classmethod
    def of(cls, settings: TowerSettings, wiring: Wiring) -> "Inputs":
        """Random ones, at the settings' resolution."""
        channels = 1 if wiring is Wiring.COLOURIZATION else 3
        sizes = settings.working_sizes(wiring)
        if wiring is Wiring.SUPER_RESOLUTION:
            sizes = sizes[:1]
        conditioning = [torch.rand(IMAGES, channels, size, size) for size in sizes]
        shapes = Tower(settings, wiring).code_shapes()
        jpeg = intervals_of([JpegCode(quality_tables(1))] * IMAGES)
        keys = code_keys(range(IMAGES), len(shapes), seed=0, round_=0)
        codes = codes_at(shapes, keys, torch.zeros(IMAGES, len(shapes), dtype=torch.int64))
        return cls(conditioning, codes, jpeg if wiring is Wiring.GENERIC else None)


def sides(
    settings: TowerSettings, wiring: Wiring, inputs: Inputs, bf16: bool
) -> tuple[list[Callable[[], object]], ...]:
    """Forward passes and training steps, each of a tower without and with agreement."""
    towers = []
    for agreement in ("none", "exact"):
        torch.manual_seed(0)
        tower = Tower(settings.model_copy(update={"agreement": agreement}), wiring)
        towers.append(tower.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def images(tower: Tower) -> list[Tensor]:
        with arithmetic(CPU, "bf16" if bf16 else "fp32"):
            return list(tower(inputs.conditioning, inputs.codes, inputs.jpeg))

    def forward(tower: Tower) -> None:
        with torch.no_grad():
            images(tower)

    def step(tower: Tower) -> None:
        tower.zero_grad(set_to_none=True)
        torch.stack([image.mean() for image in images(tower)]).sum().backward()

    return tuple([partial(act, tower) for tower in towers] for act in (forward, step))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    prepare_process()
    bf16 = has_fast_bf16()
    print(f"{machine()}, {'bf16' if bf16 else 'fp32'}\n")
    print("| task | | none, ms | exact, ms | ratio |\n|---|---|---|---|---|")
    for task in TASKS:
        settings = load_settings(ModelSettings, task, Path("showcase")).tower
        wiring = get_task(task).wiring
        inputs = Inputs.of(settings, wiring)
        both = sides(settings, wiring, inputs, bf16)
        for name, pair in zip(("search", "step"), both, strict=True):
            none, exact = (1e3 * t / IMAGES for t in interleaved(pair, repeats))
            print(f"| {task} | {name} | {none:.1f} | {exact:.1f} | {exact / none:.2f} |")


if __name__ == "__main__":
    main()
