"""The search: exact, and indifferent to chunks and to how images are batched."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.data.batch import Batch
from chimle.perceptual.lpips import Perceptual
from chimle.search.codes import draw
from chimle.search.hierarchical import search
from chimle.settings import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower

CANDIDATES = (5, 4, 3)
IMAGES = 4


def small_tower(wiring: Wiring) -> Tower:
    torch.manual_seed(0)
    sizes = TowerSettings(
        resolution=32,
        widths=(8, 8, 8),
        growth=(4, 4, 4),
        style_size=4,
        noise_channels=2,
        mapping_width=8,
        mapping_depth=3,
    )
    return Tower(sizes, wiring).eval()


def batch_for(tower: Tower, wiring: Wiring) -> Batch:
    generator = torch.Generator().manual_seed(1)
    channels = 1 if wiring is Wiring.COLOURIZATION else 3
    sizes = (4,) if wiring is Wiring.SUPER_RESOLUTION else (8, 16, 32)

    def pictures(channels: int, size: int) -> torch.Tensor:
        return torch.rand((IMAGES, channels, size, size), generator=generator)

    return Batch(
        keys=tuple(range(10, 10 + IMAGES)),
        conditioning=tuple(pictures(channels, size) for size in sizes),
        targets=tuple(pictures(3, size) for size in (8, 16, 32)),
    )


def plain_search(tower: Tower, perceptual: Perceptual, batch: Batch) -> torch.Tensor:
    """One image, one candidate, all levels recomputed each time: the textbook."""
    rows = []
    for row, key in enumerate(batch.keys):
        one = batch.select([row])
        kept: list[int] = []
        for level, count in enumerate(CANDIDATES):
            distances = []
            for candidate in range(count):
                codes = [
                    draw(shape, [key], torch.tensor([[index]]), level=i, seed=3, round_=1)
                    for i, (shape, index) in enumerate(
                        zip(tower.code_shapes(), [*kept, candidate], strict=False)
                    )
                ]
                state = tower.begin(one.conditioning)
                for i, code in enumerate(codes):
                    image, state = tower.step(i, state, code)
                distances.append(float(perceptual(image, one.targets[level])))
            kept.append(min(range(count), key=distances.__getitem__))
        rows.append(kept)
    return torch.tensor(rows)


@pytest.mark.parametrize("wiring", list(Wiring))
@torch.no_grad()
def test_finds_what_the_textbook_finds(wiring: Wiring, perceptual: Perceptual) -> None:
    tower = small_tower(wiring)
    batch = batch_for(tower, wiring)
    choice = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[7] * 3)
    assert torch.equal(choice.indices, plain_search(tower, perceptual, batch))
    assert choice.distances.isfinite().all()


@settings(max_examples=12, deadline=None)
@given(
    chunk=st.integers(1, 40),
    order=st.permutations(range(IMAGES)),
    size=st.integers(1, IMAGES),
)
def test_chunks_and_batches_change_nothing(
    perceptual: Perceptual, chunk: int, order: list[int], size: int
) -> None:
    tower = small_tower(Wiring.GENERIC)
    batch = batch_for(tower, Wiring.GENERIC)
    whole = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[16] * 3)
    for start in range(0, IMAGES, size):
        rows = order[start : start + size]
        part = search(
            tower, perceptual, batch.select(rows), CANDIDATES, seed=3, round_=1, chunks=[chunk] * 3
        )
        assert torch.equal(part.indices, whole.indices[rows])
        torch.testing.assert_close(part.distances, whole.distances[rows], rtol=1e-4, atol=1e-6)
