"""A finished model with filters of several strengths: which `train.equaliser` to choose.

    python -m benchmarks.equaliser BUNDLE [--root DIR] [--shares S ...] [--split NAME] [--out DIR]

Fits each filter to the training pairs of `data/pairs/TASK`, draws samples for those of the split,
and prints a table; the first row is without a filter. Perceptual measures are over the weights that
DIR's settings name. With `--out`, the model with the last filter becomes a bundle there.
"""

import argparse
from pathlib import Path

from benchmarks.finished_model import model_table, save_finished
from chimle.bundles.bundle import load_bundle
from chimle.data.dataset import PairIndex
from chimle.training.equalisation import fit_equaliser


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.5, 0.6, 0.7, 1])
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = model_table(options.bundle, options.root, options.split, "share")
    model = load_bundle(options.bundle)
    task = model.settings.definition
    training = PairIndex(options.root / "data" / "pairs" / task.name, "train")
    for share in (None, *options.shares):
        model.tower.equaliser = None
        if share is not None:
            fit_equaliser(model.tower, task, training, share)
        print(table.row("no filter" if share is None else f"{share:g}", model), flush=True)
    if options.out:
        save_finished(model, options.out, equaliser=options.shares[-1])


if __name__ == "__main__":
    main()
