"""The engine on one GPU at the published size: TFLOP/s beside what a matrix product reaches.

    python -m benchmarks.gpu [--pixels 256] [--batch 4] [--compile]
    python -m benchmarks.gpu --task super_resolution --pixels 512

Operations are counted, multiplications and additions each as one. The published schedule is
extrapolated from seconds per picture: 20 rounds of 400 pictures, each searched once and seen by 25
gradient steps.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import machine, matrix_product, operations
from benchmarks.setups import random_vgg
from chimle.data.batch import Batch
from chimle.errors import UserError, guarded
from chimle.perceptual.lpips import Perceptual
from chimle.search.chunking import plan_chunks
from chimle.search.codes import codes_at
from chimle.search.hierarchical import search
from chimle.settings import TowerSettings
from chimle.tasks import TASKS, Wiring, get_task
from chimle.tower.generator import Tower
from chimle.training.losses import level_losses

CANDIDATES = (200, 200, 20, 10)
ROUNDS, PICTURES, VISITS = 20, 400, 25
"""The published schedule: rounds, pictures of a round, gradient steps that see each."""
SIDE = 8192
"""Of the matrices whose product is the measure."""


def seconds(run: Callable[[], object], turns: int = 3) -> float:
    """Of one turn, after one that is not counted."""
    run()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(turns):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / turns


def matrix_rate() -> float:
    """TFLOP/s of a bf16 matrix product."""
    return 2 * SIDE**3 / seconds(matrix_product(torch.bfloat16, SIDE, "cuda"), 20) / 1e12


def pictures(wiring: Wiring, sizes: TowerSettings, count: int, device: torch.device) -> Batch:
    """Random pictures of the right shapes."""
    targets = [torch.rand(count, 3, side, side, device=device) for side in sizes.output_sizes()]
    channels = 1 if wiring is Wiring.COLOURIZATION else 3
    sides = sizes.working_sizes(wiring)
    if wiring is Wiring.SUPER_RESOLUTION:
        sides = sides[:1]
    inputs = [torch.rand(count, channels, side, side, device=device) for side in sides]
    return Batch(tuple(range(count)), tuple(inputs), tuple(targets))


def training_run(
    tower: Tower, model: nn.Module, perceptual: Perceptual, batch: Batch, autocast: bool
) -> Callable[[], None]:
    """A gradient step's forward and backward pass, the targets' features known."""
    device = batch.targets[0].device
    zeros = torch.zeros(len(batch), len(CANDIDATES), dtype=torch.int64, device=device)
    codes = codes_at(tower.code_shapes(), batch.keys, zeros, seed=0, round_=0)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        targets = [perceptual.features(target) for target in batch.targets]

    def run() -> None:
        tower.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            images = model(batch.conditioning, codes)
            losses = level_losses(images, perceptual, targets, range(len(images)))
        losses.sum().backward()

    return run


def main(task: str, resolution: int, batch_size: int, memory: int, compiled: bool) -> None:
    """Print the table."""
    if not torch.cuda.is_available():
        raise UserError("no CUDA device is here: run this on a machine with a GPU")
    device, wiring = torch.device("cuda"), get_task(task).wiring
    torch.manual_seed(0)
    sizes = TowerSettings(
        resolution=resolution, widths=(128, 64, 64, 64), growth=(256, 192, 128, 64), blocks=6
    )
    tower = Tower(sizes, wiring).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    perceptual = random_vgg("cuda")
    perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate = matrix_rate()
    one = pictures(wiring, sizes, 1, device)
    chunks = plan_chunks(tower, perceptual, one.conditioning, memory * 2**20)

    def searched() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            search(tower, perceptual, one, CANDIDATES, seed=0, round_=0, chunks=chunks)

    search_seconds = seconds(searched, 2)
    counted = operations(searched)
    model: nn.Module = torch.compile(tower) if compiled else tower  # type: ignore[assignment]
    batch = pictures(wiring, sizes, batch_size, device)
    step_seconds = seconds(training_run(tower, model, perceptual, batch, True)) / batch_size
    step_counted = operations(training_run(tower, tower, perceptual, one, True))
    hours = ROUNDS * PICTURES * (search_seconds + VISITS * step_seconds) / 3600
    print(machine())
    print(f"bf16 matrix product            {rate:8.1f} TFLOP/s")
    for what, tflop, spent in (
        ("search", counted, search_seconds),
        ("training", step_counted, step_seconds),
    ):
        print(
            f"{what:9} {tflop:8.2f} TFLOP {spent:8.3f} s/picture {tflop / spent:8.1f} TFLOP/s "
            f"{tflop / spent / rate:6.1%}"
        )
    print(f"candidates at once             {' '.join(map(str, chunks))}")
    print(f"peak memory                    {torch.cuda.max_memory_allocated() / 2**30:8.1f} GiB")
    print(f"published schedule             {hours:8.1f} h, extrapolated")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--task", default="decompression", choices=TASKS)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4, help="images in a gradient step")
    parser.add_argument("--memory", type=int, default=32768, help="MiB that candidates may hold")
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    guarded(lambda: main(given.task, given.pixels, given.batch, given.memory, given.compile))
