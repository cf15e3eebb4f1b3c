"""The parts of `benchmarks.gpu`: each prints its findings, a line each."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import machine, matrix_product, operations
from chimle.data.batch import Batch, make_batch
from chimle.data.dataset import Pair
from chimle.device import choose_device
from chimle.images.pyramid import reduce
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.search.codes import code_keys, codes_at, draw
from chimle.search.hierarchical import Choice, search
from chimle.search.philox import kernel_works, philox_words
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from chimle.tower.generator import Tower
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.initial_state import initial_state
from chimle.training.losses import level_losses

WIRINGS = ("decompression", "super_resolution", "colourization")
"""A task of each wiring."""
ROUNDS, IMAGES, VISITS = 20, 400, 25
"""The published schedule: rounds, images per round, gradient steps per image."""
ARITHMETICS = (("fp32", False, False), ("TF32", True, False), ("bf16", False, True))
"""Name, whether convolutions may use TF32, whether autocast is on."""
DRY = {
    "tower": {
        "resolution": 32,
        "widths": (8, 8, 8, 8),
        "growth": (4, 4, 4, 4),
        "blocks": 1,
        "mapping_width": 8,
    },
    "search": {"candidates": (3, 2, 2, 2)},
    "train": {"images_per_round": 4, "batch_size": 2, "steps_per_round": 6},
    "pair": {"size": 32},
}
"""Sizes of a dry run."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the parts run: a device, and whether sizes are tiny."""

    device: torch.device
    dry: bool

    def settings(self, preset: str, task: str, **train: object) -> RunSettings:
        """A preset's settings with other fields of `train`."""
        with TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "presets").symlink_to(Path("presets").resolve())
            (root / "params.yaml").write_text(f"preset: {preset}\ntasks: {{{task}: {{}}}}\n")
            values = load_settings(RunSettings, task, root).model_dump(mode="json")
        values["train"] |= train
        if self.dry:
            values |= {section: values[section] | fields for section, fields in DRY.items()}
        return RunSettings.model_validate(values)

    def perceptual(self) -> Perceptual:
        """VGG's distance over random features; a dry run takes the smallest network's."""
        settings = PerceptualSettings(backbone="squeeze" if self.dry else "vgg", weights="random")
        return load_perceptual(settings, str(self.device))

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, run: Callable[[], object], repetitions: int) -> tuple[float, float]:
        """Seconds of a repetition until the host is free, and until the device is done."""
        run()
        self.synchronize()
        started = time.perf_counter()
        for _ in range(repetitions):
            run()
        free = time.perf_counter()
        self.synchronize()
        return (free - started) / repetitions, (time.perf_counter() - started) / repetitions


def random_pairs(settings: RunSettings, count: int) -> list[Pair]:
    """Pairs of smooth random images of the tower's size."""
    task, side = settings.definition, settings.tower.resolution
    generator = np.random.default_rng(0)
    pairs = []
    for number in range(count):
        small = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        target = small.repeat(side // 8, 0).repeat(side // 8, 1)
        given = reduce(target, (side // task.reduction,) * 2)
        pairs.append(Pair(f"image {number}", given, target))
    return pairs


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


PARTS = {"codes": codes, "agreement": agreement, "repeat": repeat, "speed": speed}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    chosen = torch.device("cpu") if arguments.dry else choose_device()
    for line in PARTS[arguments.part](Place(chosen, arguments.dry)):
        print(line, flush=True)
