"""The engine on one GPU at the published size: TFLOP/s, and as a share of a matrix product's.

    python -m benchmarks.gpu [--pixels 256] [--batch 4] [--compile]
    python -m benchmarks.gpu --task super_resolution --pixels 512

Multiplications and additions count as one operation each. The published schedule is
extrapolated from seconds per image: 20 rounds of 400 images, each searched once and part of 25
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
ROUNDS, IMAGES, VISITS = 20, 400, 25
"""The published schedule: rounds, images per round, gradient steps per image."""
SIDE = 8192
"""Side of the square matrices of the matrix product."""


def seconds(run: Callable[[], object], repetitions: int = 3) -> float:
    """Seconds of one repetition, after one that is not counted."""
    run()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(repetitions):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / repetitions


def matrix_rate() -> float:
    """TFLOP/s of a bf16 matrix product."""
    return 2 * SIDE**3 / seconds(matrix_product(torch.bfloat16, SIDE, "cuda"), 20) / 1e12


def random_batch(wiring: Wiring, sizes: TowerSettings, count: int, device: torch.device) -> Batch:
    """A batch of random images of the tower's sizes."""
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
    """A gradient step's forward and backward pass with cached target features."""
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
        raise UserError("no CUDA device found: run this on a machine with a GPU")
    device, wiring = torch.device("cuda"), get_task(task).wiring
    torch.manual_seed(0)
    sizes = TowerSettings(
        resolution=resolution, widths=(128, 64, 64, 64), growth=(256, 192, 128, 64), blocks=6
    )
    tower = Tower(sizes, wiring).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    perceptual = random_vgg("cuda")
    perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate = matrix_rate()
    one = random_batch(wiring, sizes, 1, device)
    chunks = plan_chunks(tower, perceptual, one.conditioning, memory * 2**20)

    def run_search() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            search(tower, perceptual, one, CANDIDATES, seed=0, round_=0, chunks=chunks)

    search_seconds = seconds(run_search, 2)
    search_operations = operations(run_search)
    model: nn.Module = torch.compile(tower) if compiled else tower  # type: ignore[assignment]
    batch = random_batch(wiring, sizes, batch_size, device)
    step_seconds = seconds(training_run(tower, model, perceptual, batch, True)) / batch_size
    step_operations = operations(training_run(tower, tower, perceptual, one, True))
    hours = ROUNDS * IMAGES * (search_seconds + VISITS * step_seconds) / 3600
    print(machine())
    print(f"bf16 matrix product            {rate:8.1f} TFLOP/s")
    for part, tflop, duration in (
        ("search", search_operations, search_seconds),
        ("training", step_operations, step_seconds),
    ):
        print(
            f"{part:9} {tflop:8.2f} TFLOP {duration:8.3f} s/image {tflop / duration:8.1f} TFLOP/s "
            f"{tflop / duration / rate:6.1%}"
        )
    print(f"candidates at once             {' '.join(map(str, chunks))}")
    print(f"peak memory                    {torch.cuda.max_memory_allocated() / 2**30:8.1f} GiB")
    print(f"published schedule             {hours:8.1f} h, extrapolated")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--task", default="decompression", choices=TASKS)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4, help="images in a gradient step")
    parser.add_argument("--memory", type=int, default=32768, help="MiB for the candidates")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    guarded(
        lambda: main(
            arguments.task, arguments.pixels, arguments.batch, arguments.memory, arguments.compile
        )
    )
