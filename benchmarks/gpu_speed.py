"""A part of `benchmarks.gpu`: how much of a GPU's arithmetic steps and searches use."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu_place import Place, random_pairs
from benchmarks.measure import matrix_product, operations
from chimle.data.batch import make_batch
from chimle.perceptual.lpips import Perceptual
from chimle.search.hierarchical import Choice
from chimle.settings.run import RunSettings
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer


def _step_of(settings: RunSettings, place: Place, perceptual: Perceptual) -> Callable[[], object]:
    """A whole gradient step (optimiser and average included) on random pairs."""
    pairs = random_pairs(settings, settings.train.batch_size)
    trainer = ImleTrainer(settings, pairs, perceptual, Execution(Path("unused"), place.device))
    batch = make_batch(settings.definition, settings.tower, pairs).to(place.device)
    levels = settings.tower.levels
    nothing = torch.zeros(len(pairs), levels, device=place.device)
    trainer.state.position.choose(torch.arange(len(pairs)), Choice(nothing.long(), nothing))
    trainer.prepare(batch, 0)
    members = np.arange(len(pairs))
    return lambda: trainer._step(batch, members, 0)


def _step_lines(place: Place, name: str, settings: RunSettings, rate: float) -> Iterator[str]:
    perceptual = place.perceptual()
    images = settings.train.batch_size
    eager = settings.train.model_copy(update={"graph": False})
    plain = _step_of(settings.model_copy(update={"train": eager}), place, perceptual)
    tflop = operations(plain)
    for run, kind in ((plain, "one by one"), (_step_of(settings, place, perceptual), "graph")):
        host, device = place.seconds(run, 3 if place.dry else 10)
        used = tflop / device
        yield (
            f"{name} step of {images}, {kind}: host {1e3 * host:.1f} ms, device "
            f"{1e3 * device:.1f} ms, {tflop:.2f} TFLOP, {used:.0f} TFLOP/s, {used / rate:.1%} of "
            f"the matrix product"
        )


def speed(place: Place) -> Iterator[str]:
    """Steps and searches against a matrix product of the same run."""
    side = 256 if place.dry else 8192
    _, each = place.seconds(matrix_product(torch.bfloat16, side, str(place.device)), 10)
    rate = 2 * side**3 / each / 1e12
    yield f"bf16 matrix product of {side}: {rate:.1f} TFLOP/s"
    paper = place.settings("paper", "night_to_day", deterministic=False)
    yield from _step_lines(place, "paper", paper, rate)
    larger = {"batch_size": 2 if place.dry else 4}
    yield from _step_lines(
        place, "paper", place.settings("paper", "night_to_day", deterministic=False, **larger), rate
    )
    for preset in ("showcase", "demo"):
        settings = place.settings(preset, "night_to_day", precision="bf16")
        yield from _step_lines(place, preset, settings, rate)
    yield from _search_lines(place, paper, rate)


def _search_lines(place: Place, settings: RunSettings, rate: float) -> Iterator[str]:
    perceptual = place.perceptual()
    pairs = random_pairs(settings, 2)
    batch = make_batch(settings.definition, settings.tower, pairs).to(place.device)
    trainer = ImleTrainer(settings, pairs, perceptual, Execution(Path("unused"), place.device))
    before = torch.cuda.max_memory_allocated() if place.device.type == "cuda" else 0

    def run() -> None:
        trainer._search(batch, 0)

    tflop = operations(run) / len(pairs)
    host, device = place.seconds(run, 1)
    device /= len(pairs)
    used = tflop / device
    yield (
        f"paper search per image: host {host / len(pairs):.3f} s, device {device:.3f} s, "
        f"{tflop:.1f} TFLOP, {used:.0f} TFLOP/s, {used / rate:.1%} of the matrix product; chunks "
        f"{trainer.chunks}"
    )
    if place.device.type == "cuda":
        most = torch.cuda.max_memory_allocated() / 2**30
        yield f"most memory of the search: {most:.1f} GiB ({before / 2**30:.1f} GiB before it)"
