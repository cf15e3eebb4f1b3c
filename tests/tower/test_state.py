"""Rows of a tower's state: taken, merged and joined, whoever shares the conditioning."""

import pytest
import torch

from chimle.search.codes import draw
from chimle.tasks import Wiring
from chimle.tower.generator import LevelCode, Tower
from chimle.tower.state import TowerState, joined_states, merged_states, select_state
from tests.tower.test_tower import build, conditioning, settings, wirings


def extended(tower: Tower, images: int, candidates: int, first: int) -> TowerState:
    """The state after two levels, of so many candidates of the second for each image."""
    state = tower.begin(conditioning(tower, images))
    for level, count in enumerate((1, candidates)):
        indices = (first + torch.arange(count)).expand(images, -1)
        code = draw(tower.code_shapes()[level], range(images), indices, level=level, seed=2)
        _, state = tower.step(level, state, code)
    return state


def finest(tower: Tower, state: TowerState) -> torch.Tensor:
    """(B, 3, H, W): the images of a state whose last level has one code for all."""
    style, *noise = tower.code_shapes()[2]
    rows = len(state.styles[-1])
    generator = torch.Generator().manual_seed(3)
    code = LevelCode(
        torch.randn(1, style, generator=generator).expand(rows, -1),
        torch.randn(1, *noise, generator=generator).expand(rows, -1, -1, -1),
    )
    return tower.step(2, state, code)[0]


@wirings
@pytest.mark.parametrize("candidates", [1, 3])
def test_selected_rows_are_continued_as_in_the_whole_state(wiring: Wiring, candidates: int) -> None:
    tower = build(wiring, settings())
    state = extended(tower, 2, candidates, 0)
    rows = torch.tensor([2 * candidates - 1, 0, 0])
    every, some = finest(tower, state), finest(tower, select_state(state, rows))
    torch.testing.assert_close(some, every[rows], rtol=0, atol=1e-4)


@wirings
def test_merged_states_have_every_row_from_the_state_that_the_mask_names(wiring: Wiring) -> None:
    tower = build(wiring, settings())
    new, old = (extended(tower, 3, 1, first) for first in (4, 5))
    mask = torch.tensor([True, False, True])
    merged = finest(tower, merged_states(mask, new, old))
    for row, taken in enumerate(mask.tolist()):
        expected = finest(tower, new if taken else old)
        torch.testing.assert_close(merged[row], expected[row], rtol=0, atol=1e-4)
    assert (finest(tower, new) - finest(tower, old)).abs().amax(dim=(1, 2, 3)).min() > 1e-3


@wirings
def test_states_split_by_images_and_joined_again_are_the_whole(wiring: Wiring) -> None:
    tower = build(wiring, settings())
    state = extended(tower, 3, 1, 0)
    parts = [select_state(state, torch.tensor(rows)) for rows in ([0, 1], [2])]
    joined = joined_states(parts)
    assert state.feature is not None
    torch.testing.assert_close(joined, state, rtol=0, atol=0)
    begun = tower.begin(conditioning(tower, 3))
    first = joined_states([select_state(begun, torch.tensor([row])) for row in range(3)])
    assert (first.styles, first.feature, first.image) == ((), None, None)
