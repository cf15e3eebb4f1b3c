"""A finished model with filters of several strengths: what `train.equaliser` to choose.

    python -m benchmarks.equaliser BUNDLE [--root DIR] [--shares S ...] [--split NAME] [--out DIR]

Fits each filter to the training pairs of `data/pairs/TASK`, draws samples for those of the split,
and prints a table; the first row is without a filter. Perceptual measures are over the weights that
DIR's settings name. With `--out`, the model with the last filter becomes a bundle there.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.ablation import MEASURES, measures_of
from benchmarks.measure import machine
from chimle.bundles.bundle import Bundle, load_bundle, save_bundle
from chimle.data.dataset import Pair, PairIndex
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings, load_settings
from chimle.training.equalisation import fit_equaliser


def equalised(model: Bundle, pairs: Sequence[Pair], share: float | None) -> None:
    """Give a model another filter, fitted to pairs of its training split."""
    model.tower.equaliser = None
    if share is not None:
        fit_equaliser(model.tower, model.settings.definition, pairs, share)


def row(model: Bundle, name: str, pairs: Sequence[Pair], perceptual: Perceptual) -> str:
    """A filter's line of the table."""
    values = measures_of(model.tower, model.settings, pairs, perceptual)
    cells = [f"{values[key.format(perceptual.info.name)]:.4g}" for key in MEASURES]
    return f"| {name} | {' | '.join(cells)} |"


def save(model: Bundle, share: float, folder: Path) -> None:
    """Write the model with its filter as a bundle."""
    values = model.settings.model_dump(mode="json")
    values["train"]["equaliser"] = share
    settings = build_settings(ModelSettings, values, "the bundle's settings")
    parts = (model.provenance, model.license, model.degradation)
    save_bundle(folder, model.tower, settings, *parts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.5, 0.6, 0.7, 1])
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_bundle(options.bundle)
    task = model.settings.task
    settings = load_settings(ModelSettings, task, options.root)
    perceptual = load_perceptual(settings.perceptual, "cpu", options.root)
    folder = options.root / "data" / "pairs" / task
    training, pairs = PairIndex(folder, "train"), PairIndex(folder, options.split)
    print(f"{machine()}; {options.bundle}, {len(pairs)} pairs of {options.split}\n")
    print(f"| share | {' | '.join(MEASURES.values())} |\n|{'---|' * (len(MEASURES) + 1)}")
    for share in (None, *options.shares):
        equalised(model, training, share)
        name = "no filter" if share is None else f"{share:g}"
        print(row(model, name, pairs, perceptual), flush=True)
    if options.out:
        save(model, options.shares[-1], options.out)


if __name__ == "__main__":
    main()
