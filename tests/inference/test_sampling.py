"""Samples of pairs, one pair at a time."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import chimle
from chimle.data.batch import pair_conditioning
from chimle.data.dataset import Pair, image_key
from chimle.images.degrade import degrade
from chimle.images.jpeg import code_of_degradation
from chimle.inference.sampling import plain_names, sample, sample_pairs, stacked_samples
from chimle.settings.degradation import DegradationSettings
from chimle.tasks import TASKS
from tests.support.projects import noise_image, tiny_bundle


@pytest.mark.parametrize("task", TASKS)
def test_a_pair_has_the_samples_that_it_has_among_others(tmp_path: Path, task: str) -> None:
    definition = TASKS[task]
    # Coarsest images of 8x8: torch rounds powers of the last few numbers of a tensor otherwise.
    depth = 4 if definition.reduction > 1 else 3
    tower = chimle.load(tiny_bundle(tmp_path / "a", task, depth)).bundle.tower
    size, pairs = tower.settings.resolution, []
    for number in range(5):
        target = noise_image((size, size + number))[:, number:]
        given, how = degrade(target, definition, DegradationSettings(), number)
        code = code_of_degradation(how) if number % 2 else None  # Of others it is not known.
        pairs.append(Pair(f"{number}", given, target, code))
    levels, jpeg = pair_conditioning(definition, tower.settings, pairs)
    keys, names = [image_key(pair.id) for pair in pairs], plain_names(3, tower.settings.levels)
    together, _ = sample(tower, levels, keys, names, jpeg=jpeg, seed=4, batch_size=2)
    endless = itertools.cycle(pairs)  # No pair is read before those in front of it are drawn.
    drawn = sample_pairs(tower, definition, endless, 3, seed=4, batch_size=2)
    np.testing.assert_array_equal(stacked_samples(itertools.islice(drawn, 5)), together)
