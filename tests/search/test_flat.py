"""The search of whole codes finds the nearest, whatever the chunks."""

import pytest
import torch

from chimle.baselines.known_modes.mode_problem import PixelDistance
from chimle.search.codes import code_keys, codes_at
from chimle.search.flat import search_whole
from chimle.tasks import Wiring
from tests.search.test_hierarchical import batch_for, small_tower


@pytest.mark.parametrize("wiring", list(Wiring))
@torch.no_grad()
def test_whole_search_finds_the_nearest_of_whole_codes(wiring: Wiring) -> None:
    tower, distance = small_tower(wiring), PixelDistance()
    batch, levels = batch_for(tower, wiring), (1, 2)
    found = [
        search_whole(tower, distance, batch, 9, levels, seed=3, round_=1, chunk=chunk)
        for chunk in (4, 9, 36)
    ]
    sums = []
    for index in range(9):
        indices = torch.full((len(batch), 3), index)
        keys = code_keys(batch.keys, tower.settings.levels, seed=3, round_=1)
        codes = codes_at(tower.code_shapes(), keys, indices)
        images = tower(batch.conditioning, codes)
        each = [distance.distance(images[level], (batch.targets[level],)) for level in levels]
        sums.append(torch.stack(each).sum(dim=0))
    nearest = torch.stack(sums).argmin(dim=0)
    for choice in found:
        assert torch.equal(choice.indices, nearest.unsqueeze(1).expand(-1, 3))
        assert torch.allclose(choice.distances[:, 1:].sum(dim=1), torch.stack(sums).min(0).values)
