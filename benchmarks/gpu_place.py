"""Where the parts of `benchmarks.gpu` run: the device, its settings, its clock."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from chimle.data.dataset import Pair
from chimle.images.pyramid import reduce
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings

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
