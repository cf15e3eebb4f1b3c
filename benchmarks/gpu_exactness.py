"""Parts of `benchmarks.gpu`: is what a GPU computes what a CPU computes, each time, resumed?"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_place import Place, random_pairs
from benchmarks.measure import machine
from chimle.data.batch import Batch, make_batch
from chimle.perceptual.lpips import Perceptual
from chimle.search.codes import code_keys, codes_at, draw
from chimle.search.hierarchical import search
from chimle.search.philox import kernel_works, philox_words
from chimle.settings.run import RunSettings
from chimle.tower.generator import Tower
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.initial_state import initial_state
from chimle.training.losses import level_losses

WIRINGS = ("decompression", "super_resolution", "colourization")
"""A task of each wiring."""
ARITHMETICS = (("fp32", False, False), ("TF32", True, False), ("bf16", False, True))
"""Name, whether convolutions may use TF32, whether autocast is on."""


def codes(place: Place) -> Iterator[str]:
    """Versions, flags, and the code generator against the CPU's."""
    yield machine()
    yield f"cuDNN {torch.backends.cudnn.version()}, TF32 in cuDNN {torch.backends.cudnn.allow_tf32}"
    generator = torch.Generator().manual_seed(0)
    blocks = torch.arange(100 if place.dry else 10**4)
    keys, indices = (torch.randint(0, 2**32, (10, n), generator=generator) for n in (2, 10))
    here = philox_words(keys, indices, blocks)
    there = philox_words(*(words.to(place.device) for words in (keys, indices, blocks)))
    equal, count = torch.equal(here, there.cpu()), here.numel() // 4
    yield f"Philox words equal to the CPU's: {equal} ({count:,} blocks)"
    yield f"made by one kernel: {kernel_works(place.device)}"
    side = 32 if place.dry else 256
    shape, index = (128, 5, side, side), torch.arange(4)[None]
    pair = [draw(shape, [7], index.to(d), level=3, seed=0) for d in ("cpu", place.device)]
    gaps = [float((a - b.cpu()).abs().max()) for a, b in zip(*pair, strict=True)]
    yield f"largest difference of normals: {max(gaps):.1e}"


def _losses(
    tower: Tower, perceptual: Perceptual, batch: Batch, low: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Images of the finest level, loss and gradient of a step, on the CPU."""
    device = batch.targets[0].device
    zeros = torch.zeros(len(batch), tower.settings.levels, dtype=torch.int64, device=device)
    keys = code_keys(batch.keys, tower.settings.levels, seed=0, device=device)
    chosen = codes_at(tower.code_shapes(), keys, zeros)
    tower.zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False):
        images = tower(batch.conditioning, chosen, batch.jpeg)
        with torch.no_grad():
            targets = [perceptual.features(target) for target in batch.targets]
        loss = level_losses(images, perceptual, targets, range(len(images))).sum()
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in tower.parameters() if p.grad is not None])
    return images[-1].detach().cpu(), loss.detach().cpu(), gradient.cpu()


def _chunk_lines(place: Place, task: str, tower: Tower, batch: Batch) -> Iterator[str]:
    """Choices of a search in small chunks and in large ones, on the device."""
    settings, perceptual = place.settings("showcase", task), place.perceptual()
    for low in (False, True):
        with torch.autocast(place.device.type, torch.bfloat16, enabled=low):
            one, many = (
                search(
                    tower,
                    perceptual,
                    batch,
                    settings.search.candidates,
                    seed=0,
                    round_=0,
                    chunks=[size] * settings.tower.levels,
                )
                for size in (3, 64)
            )
        same = int((one.indices == many.indices).sum())
        gap = float((one.distances / many.distances - 1).abs().max())
        yield (
            f"{task} {'bf16' if low else 'fp32'}: {same} of {one.indices.numel()} choices "
            f"equal with chunks of 3 and 64, distances within {gap:.1e}"
        )


def agreement(place: Place) -> Iterator[str]:
    """The three wirings: CPU in fp32 against the device in fp32, TF32 and bf16; chunk sizes."""
    for task in WIRINGS:
        settings = place.settings("showcase", task)
        batch = make_batch(settings.definition, settings.tower, random_pairs(settings, 2))
        tower, perceptual = (
            initial_state(settings, torch.device("cpu")).network,
            place.perceptual().cpu(),
        )
        assert isinstance(tower, Tower)
        exact = _losses(tower, perceptual, batch, low=False)
        tower.to(place.device), perceptual.to(place.device)
        there = batch.to(place.device)
        for name, tf32, low in ARITHMETICS:
            torch.backends.cudnn.allow_tf32 = tf32
            found = _losses(tower, perceptual, there, low)
            cosine = 1 - torch.nn.functional.cosine_similarity(found[2], exact[2], dim=0)
            yield (
                f"{task} {name}: image {float((found[0] - exact[0]).abs().max()):.1e}, loss "
                f"{float((found[1] / exact[1] - 1).abs()):.1e}, gradient {float(cosine):.1e}"
            )
        torch.backends.cudnn.allow_tf32 = False
        yield from _chunk_lines(place, task, tower, there)


def _train(
    settings: RunSettings,
    place: Place,
    perceptual: Perceptual,
    state: Path,
    stop: int | None = None,
) -> tuple[Tensor, float]:
    """Weights after a run of random pairs, and its seconds; `stop`: end after so many steps."""

    class Stopped(ImleTrainer):
        def _step(self, batch: Batch, members: np.ndarray, step: int) -> None:
            super()._step(batch, members, step)
            if stop is not None and self.state.position.step == stop:
                self.save()
                raise KeyboardInterrupt

    trainer = Stopped(
        settings, random_pairs(settings, 16), perceptual, Execution(state, place.device)
    )
    started = time.perf_counter()
    try:
        trainer.run()
    except KeyboardInterrupt:
        trainer.batches.close()
    place.synchronize()
    weights = torch.cat([p.detach().flatten() for p in trainer.tower.parameters()])
    return weights.cpu(), time.perf_counter() - started


def repeat(place: Place) -> Iterator[str]:
    """Twelve steps twice, as graphs and one by one; a run resumed; a large state written."""
    perceptual = place.perceptual()
    twelve = {"rounds": 1, "steps_per_round": 12, "images_per_round": 16}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for graph in (True, False):
            for sure in (True, False):
                settings = place.settings(
                    "showcase", "night_to_day", graph=graph, deterministic=sure, **twelve
                )
                runs = [
                    _train(settings, place, perceptual, root / f"{graph}{sure}{n}.pt")
                    for n in range(2)
                ]
                yield (
                    f"graph {graph}, deterministic {sure}: bits equal "
                    f"{torch.equal(runs[0][0], runs[1][0])}, {runs[1][1]:.2f} s for search and 12 "
                    f"steps; largest weight difference "
                    f"{float((runs[0][0] - runs[1][0]).abs().max()):.1e}"
                )
        settings = place.settings("showcase", "night_to_day", **twelve)
        straight, _ = _train(settings, place, perceptual, root / "straight.pt")
        _train(settings, place, perceptual, root / "resumed.pt", stop=5)
        resumed, _ = _train(settings, place, perceptual, root / "resumed.pt")
        same = torch.equal(straight, resumed)
        yield f"a run stopped after step 5 and resumed has equal bits: {same}"
        state = initial_state(place.settings("paper", "night_to_day"), place.device)
        started = time.perf_counter()
        state.save(root / "large.pt")
        size = (root / "large.pt").stat().st_size / 1e9
        yield f"state of the published size: {size:.2f} GB in {time.perf_counter() - started:.1f} s"
