"""Why a regression covers a few known modes: rounds of few pictures, or of all.

    python -m benchmarks.leaning [--seeds 2]

The mean of an input's targets lies on none of them, so a perfect regression covers no mode. Here it
takes as many steps either way, in rounds of 96 of the 480 pairs, as the comparison's methods do, or
of all of them.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from chimle.baselines.known_modes.mode_comparison import UNSEEN
from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    judge_modes,
    known_pairs,
    known_settings,
)
from chimle.baselines.methods import adapt, get_method
from chimle.baselines.run_method import TrainedMethod
from chimle.device import flush_denormals
from chimle.settings import RunSettings, build_settings
from chimle.training.imle_trainer import ImleTrainer

PAIRS, INPUTS = 480, 12
SIZES = (96, PAIRS)
"""Pictures of a round."""
ROUNDS = 25
"""Of 60 steps: about what 75 seconds come to."""


def regression(size: int, seed: int) -> RunSettings:
    """A regression with rounds of so many pictures."""
    values = adapt(known_settings(), get_method("regression"), seed).model_dump()
    values["train"] |= {"images_per_round": size, "rounds": ROUNDS}
    return build_settings(values, "regression")


def covered(layout: Layout, size: int, seed: int) -> float:
    """Share of the modes of unseen inputs that the trained answers lie on."""
    method, settings = get_method("regression"), regression(size, seed)
    pairs, device = known_pairs(layout, PAIRS, seed), torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.pt"
        trained = ImleTrainer(settings, pairs, PixelDistance(), state, device).run()
    unseen = known_pairs(layout, INPUTS, seed + UNSEEN)
    inputs, ids = [pair.input for pair in unseen], [pair.id for pair in unseen]
    entrant = TrainedMethod(method, settings, trained.tower, seconds=0, steps=0)
    return judge_modes(entrant.answers(inputs, ids, 1, seed), inputs, layout).covered


def main(seeds: int) -> None:
    """Print a table, last of all."""
    flush_denormals()
    rows = []
    for layout in (Layout.COARSE, Layout.FINE):
        for size in SIZES:
            found = " ".join(f"{covered(layout, size, seed):.1%}" for seed in range(seeds))
            rows.append(f"| {layout} | {size} | {found} |")
    print("| targets differ | pictures of a round | covered, per seed |", "|---|---|---|", sep="\n")
    print(*rows, sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=2)
    main(parser.parse_args().seeds)
