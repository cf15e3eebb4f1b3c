"""Whose codes are searched again: images are compared with what they were when chosen."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.data.batch import Batch
from chimle.perceptual.lpips import Perceptual
from chimle.search.adaptive import came_nearer
from chimle.search.codes import code_keys
from chimle.search.hierarchical import Choice, search
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
from tests.search.test_hierarchical import CANDIDATES, IMAGES, batch_for, small_tower


@dataclass(frozen=True)
class Searched:
    """A tower, a batch and the codes that a search chose for it."""

    tower: Tower
    perceptual: Perceptual
    batch: Batch
    choice: Choice

    def nearer(
        self, share: float, at_once: int = 3, factors: torch.Tensor | None = None
    ) -> torch.Tensor:
        distances = self.choice.distances
        if factors is not None:
            distances = distances * factors[:, None]
        levels = self.tower.settings.levels
        return came_nearer(
            self.tower,
            self.perceptual,
            self.batch,
            code_keys(self.batch.keys, levels, seed=3, round_=1),
            Choice(self.choice.indices, distances),
            share,
            at_once,
        )


@pytest.fixture(scope="module", params=list(Wiring))
def searched(request: pytest.FixtureRequest, perceptual: Perceptual) -> Searched:
    tower = small_tower(request.param)
    batch = batch_for(tower, request.param)
    choice = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=CANDIDATES)
    return Searched(tower, perceptual, batch, choice)


@settings(max_examples=6)
@given(at_once=st.integers(1, IMAGES + 2))
def test_weights_that_have_not_changed_bring_no_image_nearer(
    searched: Searched, at_once: int
) -> None:
    assert not searched.nearer(1 - 1e-4, at_once).any()
    assert searched.nearer(1 + 1e-4, at_once).all()


def test_each_image_is_compared_with_its_own_distance(searched: Searched) -> None:
    factors = torch.tensor([0.5, 2.0, 0.5, 2.0])
    assert searched.nearer(0.9, factors=factors).tolist() == [False, True, False, True]


def test_no_image_is_no_error(searched: Searched) -> None:
    none = Choice(searched.choice.indices[:0], searched.choice.distances[:0])
    nothing = Searched(searched.tower, searched.perceptual, searched.batch.select([]), none)
    found = nothing.nearer(0.9)
    assert found.shape == (0,)
    assert found.dtype == torch.bool
