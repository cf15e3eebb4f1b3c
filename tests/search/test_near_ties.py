"""Near ties of a search in bf16 are decided as in fp32."""

import pytest
import torch

from chimle.device import arithmetic
from chimle.perceptual.lpips import Perceptual
from chimle.search.hierarchical import Choice, search
from chimle.search.near_ties import near_ties
from chimle.tasks import Wiring
from tests.search.test_hierarchical import IMAGES, batch_for, small_tower

CANDIDATES = (12, 12, 12)


def found(
    wiring: Wiring, perceptual: Perceptual, margin: float, *, low: bool = True, chunk: int = 50
) -> Choice:
    """What a search chooses, in bf16 where `low`."""
    tower = small_tower(wiring)
    with arithmetic(torch.device("cpu"), "bf16" if low else "fp32"):
        return search(
            tower,
            perceptual,
            batch_for(tower, wiring),
            CANDIDATES,
            seed=3,
            round_=1,
            chunks=[chunk] * 3,
            near_tie=margin,
        )


def test_a_near_tie_needs_two() -> None:
    distances = torch.tensor(
        [[1.0, 1.005, 1.02, 1.011], [3.0, 2.0, 2.5, 2.1], [1.0, 1.0, torch.inf, 9.0]]
    )
    assert near_ties(distances, 0.01).tolist() == [
        [True, True, False, False],
        [False, False, False, False],
        [True, True, False, False],
    ]
    assert near_ties(distances, 0.05)[1].tolist() == [False, True, False, True]


def test_infinite_distances_tie_with_nothing() -> None:
    assert not near_ties(torch.full((1, 3), torch.inf), 0.01).any()


@pytest.mark.parametrize("wiring", list(Wiring))
def test_choices_in_bf16_are_those_in_fp32(wiring: Wiring, perceptual: Perceptual) -> None:
    exact = found(wiring, perceptual, 0.0, low=False)
    decided = found(wiring, perceptual, 0.1)
    assert torch.equal(decided.indices, exact.indices)
    torch.testing.assert_close(decided.distances, exact.distances, rtol=0.03, atol=0)
    assert torch.equal(found(wiring, perceptual, 0.1, chunk=5).indices, exact.indices)


def test_without_it_bf16_chooses_otherwise(perceptual: Perceptual) -> None:
    exact, low = (found(Wiring.GENERIC, perceptual, 0.0, low=low) for low in (False, True))
    assert 0 < int((exact.indices == low.indices).sum()) < 3 * IMAGES


def test_in_fp32_nothing_is_decided_again(perceptual: Perceptual) -> None:
    exact, again = (found(Wiring.GENERIC, perceptual, m, low=False) for m in (0.0, 0.5))
    assert torch.equal(exact.indices, again.indices)
    assert torch.equal(exact.distances, again.distances)


def test_without_ties_bf16_chooses_as_before(perceptual: Perceptual) -> None:
    low, decided = (found(Wiring.GENERIC, perceptual, margin) for margin in (0.0, 1e-7))
    assert torch.equal(low.indices, decided.indices)
    assert torch.equal(low.distances, decided.distances)
