"""Samples of a model whose codes are stronger or weaker: what strengths of `train` to choose.

    python -m benchmarks.code_strength BUNDLE [--root DIR] [--noise 1 1.5 2] [--style 1 0.85 0.7]

Draws samples for the pairs of `data/pairs/TASK` and prints a table, a line for each strength of the
spatial noise (`train.noise_strength`), then for each of the style codes (`train.style_strength`).
Perceptual measures are over the weights that DIR's settings name. Where the model's own training
had strengths, the factors multiply them. With `--out`, the model of the last line becomes a bundle
there.
"""

import argparse
from pathlib import Path

from benchmarks.finished_model import model_table, save_finished
from chimle.bundles.bundle import load_bundle
from chimle.tower.generator import Tower

FIELDS = {"noise": "noise_strength", "style": "style_strength"}
"""Kinds of codes, and their fields of `train`."""
SCALE = {"noise": Tower.scale_noise, "style": Tower.scale_styles}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    for kind in FIELDS:
        parser.add_argument(f"--{kind}", type=float, nargs="+", default=[], metavar="STRENGTH")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    strengths = [(kind, strength) for kind in FIELDS for strength in getattr(options, kind)]
    if not strengths:
        parser.error("give --noise or --style some strengths")
    table = model_table(options.bundle, options.root, options.split, "strength")
    for kind, strength in strengths:
        model = load_bundle(options.bundle)
        SCALE[kind](model.tower, strength)
        print(table.row(f"{kind} {strength:g}", model), flush=True)
    if options.out:
        before = getattr(model.settings.train, FIELDS[kind])
        save_finished(model, options.out, **{FIELDS[kind]: before * strength})


if __name__ == "__main__":
    main()
