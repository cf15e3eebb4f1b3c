"""What benchmarks of a finished model share: its pairs, its measures, and lines of their table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.ablation import MEASURES, measures_of, table_head
from benchmarks.measure import machine
from chimle.bundles.bundle import Bundle, load_bundle, save_bundle
from chimle.data.dataset import Pair, PairIndex
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings, load_settings


@dataclass(frozen=True)
class FinishedModelTable:
    """Table of a task's models on the pairs of one split, over the weights that settings name."""

    pairs: Sequence[Pair]
    perceptual: Perceptual

    def row(self, name: str, model: Bundle) -> str:
        """A model's line of the table."""
        values = measures_of(model.tower, model.settings, self.pairs, self.perceptual)
        cells = [f"{values[key.format(self.perceptual.info.name)]:.4g}" for key in MEASURES]
        return f"| {name} | {' | '.join(cells)} |"


def model_table(bundle: Path, root: Path, split: str, column: str) -> FinishedModelTable:
    """The table of a bundle's task, computed on one thread; prints its head.

    Args:
        bundle: the model.
        root: project with the settings and `data/pairs/TASK` that it is measured with.
        split: of the pairs.
        column: title of the table's first column.
    """
    torch.set_num_threads(1)
    task = load_bundle(bundle).settings.task
    settings = load_settings(ModelSettings, task, root)
    perceptual = load_perceptual(settings.perceptual, "cpu", root)
    pairs = PairIndex(root / "data" / "pairs" / task, split)
    print(f"{machine()}; {bundle}, {len(pairs)} pairs of {split}\n\n{table_head(column)}")
    return FinishedModelTable(pairs, perceptual)


def save_finished(model: Bundle, folder: Path, **train: float) -> None:
    """Write a changed model as a bundle, whose settings have these fields of `train`."""
    values = model.settings.model_dump(mode="json")
    values["train"] |= train
    settings = build_settings(ModelSettings, values, "the bundle's settings")
    parts = (model.provenance, model.license, model.degradation)
    save_bundle(folder, model.tower, settings, *parts)
