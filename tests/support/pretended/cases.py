"""What runs on the pretended device: each case in turn, its counts or its error written as JSON.

Started by `tests/test_pretended_cuda.py`: python -m tests.support.pretended.cases FILE
"""

from tests.support.pretended.device import DEVICE, MODE, Count, counted, without_values

# The device comes before torch, and so before the project.
# isort: split

import copy
import dataclasses
import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chimle.baselines.adversarial import AdversarialTrainer
from chimle.baselines.diffusion import DiffusionTrainer
from chimle.data.batch import Batch, make_batch
from chimle.data.dataset import Pair
from chimle.images.jpeg import JpegCode, quality_tables
from chimle.images.pyramid import reduce
from chimle.inference import banded
from chimle.inference.sample_names import Codes, mixture_of, plain
from chimle.inference.sampling import plain_names, sample
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.search.codes import code_keys, codes_at
from chimle.search.flat import search_whole
from chimle.search.hierarchical import search
from chimle.settings.model_settings import ModelSettings
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.reading import build_settings
from chimle.tower.generator import Tower
from chimle.training.base_trainer import BaseTrainer
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.initial_state import initial_state
from chimle.training.training_state import TrainingState

TASKS = ("decompression", "super_resolution", "colourization")
"""A task of each wiring; inputs of the first are JPEG images."""
PRECISIONS = ("fp32", "bf16")
IMAGES, BATCH, STEPS = 2, 2, 2
CANDIDATES, CHUNKS = (3, 2, 2, 2), (4, 4, 4, 4)
"""Two images of a search share a chunk on all levels but the coarsest."""


def settings_of(task: str, precision: str, **train: Any) -> ModelSettings:
    """Small settings of a run."""
    values = {
        "task": task,
        "preset": "demo",
        "tower": {
            "resolution": 32,
            "widths": (8, 8, 8, 8),
            "growth": (8, 8, 8, 8),
            "mapping_width": 8,
            "mapping_depth": 2,
        },
        "perceptual": {"weights": "random", "scales": (1, 2), "shift": 2, "turn": True},
        "search": {"candidates": CANDIDATES},
        "train": {
            "rounds": 1,
            "images_per_round": IMAGES,
            "steps_per_round": STEPS,
            "batch_size": BATCH,
            "precision": precision,
            "graph": False,  # Recording one needs a driver.
            **train,
        },
    }
    return build_settings(ModelSettings, values, "a test")


def pairs_of(settings: ModelSettings) -> list[Pair]:
    """Random pairs, JPEG inputs with their tables."""
    generator = np.random.default_rng(0)
    task, side = settings.definition, settings.tower.resolution
    code = JpegCode(quality_tables(5)) if task.name == "decompression" else None
    pairs = []
    for number in range(IMAGES):
        target = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        given = reduce(target, (side // task.reduction,) * 2)
        pairs.append(Pair(str(number), given, target, code))
    return pairs


@cache
def _perceptual() -> Perceptual:
    return load_perceptual(PerceptualSettings(backbone="squeeze", weights="random", scales=(1, 2)))


def perceptual() -> Perceptual:
    """The distance on the device. Made outside `MODE`, as its weights are read as bytes."""
    own = copy.deepcopy(_perceptual())
    with MODE:
        laid_out = without_values(own).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        moved = laid_out.to(DEVICE)
    assert isinstance(moved, Perceptual)
    return moved


def batch_of(settings: ModelSettings) -> Batch:
    """A batch on the device."""
    return make_batch(settings.definition, settings.tower, pairs_of(settings)).to(DEVICE)


def tower_of(settings: ModelSettings) -> Tower:
    """A new tower on the device, in training's layout."""
    network = initial_state(settings, DEVICE).network
    assert isinstance(network, Tower)
    return network


def autocast(precision: str) -> torch.autocast:
    """As `ImleTrainer` computes."""
    return torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def pass_and_back(task: str, precision: str) -> Count:
    """A forward and a backward pass of the tower alone."""
    settings = settings_of(task, precision)
    with MODE:
        tower, batch = tower_of(settings), batch_of(settings)
        keys = code_keys(batch.keys, 4, seed=0, device=DEVICE)
        chosen = torch.zeros(len(batch), 4, dtype=torch.int64, device=DEVICE)
        tower(batch.conditioning, codes_at(tower.code_shapes(), keys, chosen), batch.jpeg)
        with counted() as count, autocast(precision):
            images = tower(batch.conditioning, codes_at(tower.code_shapes(), keys, chosen))
            torch.stack([image.square().mean() for image in images]).sum().backward()
    return count


def searches(task: str, precision: str) -> Count:
    """Both searches, in chunks."""
    settings, distance = settings_of(task, precision), perceptual()
    with MODE:
        tower, batch = tower_of(settings), batch_of(settings)
        names: dict[str, Any] = {"seed": 0, "round_": 0}
        with counted() as count, autocast(precision):
            search(tower, distance, batch, CANDIDATES, chunks=CHUNKS, **names)
            search_whole(tower, distance, batch.select([1]), 3, [3], chunk=2, **names)
    return count


def samples(task: str, precision: str) -> Count:
    """Samples as evaluation draws them."""
    settings = settings_of(task, precision)
    with MODE:
        tower, batch = tower_of(settings), batch_of(settings)
        with counted() as count:
            names, given = plain_names(2, 4), batch.conditioning
            made, _ = sample(tower, given, batch.keys, names, jpeg=batch.jpeg, batch_size=2)
    assert made.shape == (IMAGES, 2, 32, 32, 3)
    return count


def bands(task: str, precision: str) -> Count:
    """Two samples of an image that is higher than a band."""
    settings = settings_of(task, precision)
    with MODE:
        tower, batch = tower_of(settings), batch_of(settings)
        levels = [level[:1].repeat(1, 1, 3, 1) for level in batch.conditioning]
        codes = Codes(
            [mixture_of(name) for name in plain(2, 4)],
            tower.code_shapes_for(levels),
            image=7,
            seed=0,
            device=DEVICE,
        )
        jpeg = None if batch.jpeg is None else batch.jpeg.rows(torch.tensor([0], device=DEVICE))
        with counted() as count:
            made = banded.BandedTower(tower, levels, codes, jpeg=jpeg).images()
    assert made.shape == (2, 96, 32, 3)
    return count


@contextmanager
def steps_counted(trainer: BaseTrainer, count: Count) -> Iterator[list[int]]:
    """The host's waits in each gradient step, reading of losses left out."""
    waits: list[int] = []
    whole = trainer._step

    def step(*given: Any) -> None:
        assert torch.are_deterministic_algorithms_enabled()
        before = sum(count.waits.values())
        whole(*given)
        waits.append(sum(count.waits.values()) - before)

    trainer._step = step  # type: ignore[method-assign,assignment]
    trainer._log = lambda *_: None  # type: ignore[method-assign]
    yield waits


def trained(make: Callable[..., BaseTrainer], settings: ModelSettings, *given: Any) -> Count:
    """A whole run of a trainer."""
    with MODE:
        trainer = make(settings, pairs_of(settings), *given, Execution(Path("unused"), DEVICE))
        if isinstance(trainer, ImleTrainer):
            trainer.chunks = CHUNKS  # Planned from the host alone.
        with counted() as count, steps_counted(trainer, count) as waits:
            trainer.run_rounds()
    assert len(waits) == STEPS
    count.step_waits = waits
    return count


def training(task: str, precision: str) -> Count:
    """CHIMLE's rounds: search, features, steps, optimiser and average."""
    return trained(ImleTrainer, settings_of(task, precision), perceptual())


def perturbed_codes(task: str, precision: str) -> Count:
    """The same with noise on the chosen codes, whose names the host makes in every step."""
    return trained(ImleTrainer, settings_of(task, precision, code_noise=0.1), perceptual())


def adversarial(task: str, precision: str) -> Count:
    """The rounds of the conditional GAN."""
    return trained(AdversarialTrainer, settings_of(task, precision), perceptual())


def diffusion(task: str, precision: str) -> Count:
    """The rounds of the diffusion model."""
    return trained(DiffusionTrainer, settings_of(task, precision), 100_000)


CASES = {
    "pass": pass_and_back,
    "search": searches,
    "samples": samples,
    "bands": bands,
    "training": training,
    "perturbed": perturbed_codes,
    "adversarial": adversarial,
    "diffusion": diffusion,
}


def outcome(case: Callable[[str, str], Count], task: str, precision: str) -> dict[str, Any]:
    """A case's counts, or its traceback."""
    try:
        return dataclasses.asdict(case(task, precision).found())
    except Exception:  # noqa: BLE001 - whatever it is, a test reports it
        return {"error": traceback.format_exc()}


def main(path: Path, names: Sequence[str]) -> None:
    """Run the cases and write their outcomes."""
    TrainingState.save = lambda *_: None  # type: ignore[method-assign]
    banded.BAND_BYTES["cuda"] = 2**14
    found = {}
    for name, task, precision in itertools.product(names, TASKS, PRECISIONS):
        found[f"{name} {task} {precision}"] = outcome(CASES[name], task, precision)
        path.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(CASES))
