"""A tiny project on disk, for tests that run real stages."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from chimle.bundles.bundle import save_bundle
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from chimle.tower.generator import Tower

TINY: dict[str, dict[str, Any]] = {
    "pair": {"size": 32, "validation": 0.1, "test": 0.3},
    "tower": {
        "resolution": 32,
        "widths": [8, 8, 6, 6],
        "growth": [4, 4, 4, 4],
        "style_size": 4,
        "noise_channels": 2,
        "mapping_width": 8,
        "mapping_depth": 3,
    },
    "perceptual": {"backbone": "squeeze", "weights": "random"},
    "search": {"candidates": [4, 3, 2, 2], "memory": 16},
    "train": {
        "rounds": 2,
        "images_per_round": 8,
        "steps_per_round": 6,
        "batch_size": 4,
        "checkpoint_seconds": 0,
    },
    "evaluate": {"samples": 3, "gallery": 2},
}


def write_photographs(folder: Path, count: int = 16, size: int = 48, seed: int = 0) -> None:
    """Write smooth random colour images as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for number in range(count):
        coarse = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        image.save(folder / f"photo_{number:02}.png")


def write_project(
    root: Path, tasks: dict[str, dict[str, Any]], preset: dict[str, Any] | None = None
) -> Path:
    """Write `params.yaml` and a preset `demo` under `root`; returns `root`."""
    (root / "presets").mkdir(parents=True, exist_ok=True)
    (root / "presets" / "demo.yaml").write_text(yaml.safe_dump(preset or TINY))
    params = {"preset": "demo", "seed": 1, "tasks": tasks}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return root


def tiny_bundle(folder: Path, task: str, levels: int = 4) -> Path:
    """Write an untrained tower as a bundle to `folder`; returns `folder`."""
    shape = {name: TINY["tower"][name][:levels] for name in ("widths", "growth")}
    sizes = {
        "tower": TINY["tower"] | shape,
        "search": {**TINY["search"], "candidates": TINY["search"]["candidates"][:levels]},
    }
    settings = build_settings(
        RunSettings, {**TINY, **sizes, "task": task, "preset": "test"}, "test"
    )
    torch.manual_seed(0)
    tower = Tower(settings.tower, settings.definition.wiring)
    save_bundle(folder, tower, settings, {"seed": 0})
    return folder


def noise_image(size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8, every pixel random."""
    return np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)
