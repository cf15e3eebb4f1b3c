"""Samples of a training for people to look at: a sheet of inputs, samples and targets."""

from collections.abc import Sequence

import numpy as np
import torch

from chimle.data.augmentation import centre
from chimle.data.batch import make_batch
from chimle.data.dataset import Pair
from chimle.images.contact_sheet import contact_sheet
from chimle.images.pyramid import enlarge
from chimle.inference.sampling import plain_names, sample
from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import Tower

INPUTS, SAMPLES = 6, 4
"""Rows of a sheet, and samples in each."""


class Preview:
    """Draws the same samples of the same pairs after every round.

    Args:
        settings: of the run.
        pairs: the first of them are shown.
        device: where the tower is.
    """

    def __init__(
        self, settings: ModelSettings, pairs: Sequence[Pair], device: torch.device
    ) -> None:
        tower = settings.tower
        shown = [
            centre(pairs[number], settings.definition, tower.resolution)
            for number in range(min(INPUTS, len(pairs)))
        ]
        self.settings, self.pairs = settings, shown
        self.batch = make_batch(settings.definition, tower, shown).to(device)

    def sheet(self, tower: Tower) -> np.ndarray:
        """Rows of input, samples and target: (H, W, 3) uint8."""
        batch, side = self.batch, self.settings.tower.resolution
        drawn, _ = sample(
            tower,
            batch.conditioning,
            batch.keys,
            plain_names(SAMPLES, self.settings.tower.levels),
            jpeg=batch.jpeg,
            seed=self.settings.seed,
            batch_size=SAMPLES,
        )
        rows = [
            [enlarge(pair.input, (side, side)), *samples, pair.target]
            for pair, samples in zip(self.pairs, drawn, strict=True)
        ]
        headings = ["input", *(f"sample {number}" for number in range(SAMPLES)), "target"]
        return contact_sheet(rows, side, headings)
