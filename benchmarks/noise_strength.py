"""Samples of a model with its spatial noise strengthened: which `train.noise_strength` to choose.

    python -m benchmarks.noise_strength BUNDLE [--root DIR] [--strengths S ...] [--split NAME]

Draws samples for the pairs of `data/pairs/TASK` and prints a table. Perceptual measures are over
the weights that DIR's settings name. Where the model's own training had a strength, the factors
multiply it.
"""

import argparse
from pathlib import Path

from benchmarks.finished_model import model_table
from chimle.bundles.bundle import load_bundle


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--strengths", type=float, nargs="+", default=[1, 1.25, 1.5, 2])
    parser.add_argument("--split", default="validation")
    options = parser.parse_args()
    table = model_table(options.bundle, options.root, options.split, "strength")
    for strength in options.strengths:
        model = load_bundle(options.bundle)
        model.tower.strengthen_noise(strength)
        print(table.row(f"{strength:g}", model), flush=True)


if __name__ == "__main__":
    main()
