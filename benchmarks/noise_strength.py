"""Samples of a model with its spatial noise strengthened: what `train.noise_strength` to choose.

    python -m benchmarks.noise_strength BUNDLE [--root DIR] [--strengths S ...] [--split NAME]

Draws samples for the pairs of `data/pairs/TASK` and prints a table. Perceptual measures are over
the weights that DIR's settings name. Where the model's own training had a strength, the factors
multiply it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.ablation import MEASURES, measures_of
from benchmarks.measure import machine
from chimle.bundles.bundle import load_bundle
from chimle.data.dataset import Pair, PairIndex
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings


def row(bundle: Path, strength: float, pairs: Sequence[Pair], perceptual: Perceptual) -> str:
    """A strength's line of the table."""
    model = load_bundle(bundle)
    model.tower.strengthen_noise(strength)
    values = measures_of(model.tower, model.settings, pairs, perceptual)
    cells = [f"{values[key.format(perceptual.info.name)]:.4g}" for key in MEASURES]
    return f"| {strength:g} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--strengths", type=float, nargs="+", default=[1, 1.25, 1.5, 2])
    parser.add_argument("--split", default="validation")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_bundle(options.bundle).settings.task
    settings = load_settings(ModelSettings, task, options.root)
    perceptual = load_perceptual(settings.perceptual, "cpu", options.root)
    pairs = PairIndex(options.root / "data" / "pairs" / task, options.split)
    print(f"{machine()}; {options.bundle}, {len(pairs)} pairs of {options.split}\n")
    print(f"| strength | {' | '.join(MEASURES.values())} |\n|{'---|' * (len(MEASURES) + 1)}")
    for strength in options.strengths:
        print(row(options.bundle, strength, pairs, perceptual), flush=True)


if __name__ == "__main__":
    main()
