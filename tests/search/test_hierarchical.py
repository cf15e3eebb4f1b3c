"""The hierarchical search is exact and does not depend on chunks or batches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.data.batch import Batch
from chimle.perceptual.distance import Distance, Features
from chimle.perceptual.lpips import Perceptual
from chimle.search import hierarchical
from chimle.search.codes import draw
from chimle.search.hierarchical import search
from chimle.settings.tower import TowerSettings
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

    def random_images(channels: int, size: int) -> torch.Tensor:
        return torch.rand((IMAGES, channels, size, size), generator=generator)

    return Batch(
        keys=tuple(range(10, 10 + IMAGES)),
        conditioning=tuple(random_images(channels, size) for size in sizes),
        targets=tuple(random_images(3, size) for size in tower.settings.output_sizes()),
    )


def unoptimised_search(
    tower: Tower, perceptual: Perceptual, batch: Batch, too_near: float = 0.0
) -> torch.Tensor:
    """Search one image and one candidate at a time and recompute all levels for each."""
    rows = []
    for row, key in enumerate(batch.keys):
        one = batch.select([row])
        chosen: list[int] = []
        for level, count in enumerate(CANDIDATES):
            distances = []
            for candidate in range(count):
                codes = [
                    draw(shape, [key], torch.tensor([[index]]), level=i, seed=3, round_=1)
                    for i, (shape, index) in enumerate(
                        zip(tower.code_shapes(), [*chosen, candidate], strict=False)
                    )
                ]
                state = tower.begin(one.conditioning)
                for i, code in enumerate(codes):
                    image, state = tower.step(i, state, code)
                distances.append(float(perceptual(image, one.targets[level])))
            chosen.append(min(range(count), key=lambda i: (distances[i] < too_near, distances[i])))
        rows.append(chosen)
    return torch.tensor(rows)


@pytest.mark.parametrize("wiring", list(Wiring))
@torch.no_grad()
def test_equals_the_unoptimised_search(wiring: Wiring, perceptual: Perceptual) -> None:
    tower = small_tower(wiring)
    batch = batch_for(tower, wiring)
    choice = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[7] * 3)
    assert torch.equal(choice.indices, unoptimised_search(tower, perceptual, batch))
    assert choice.distances.isfinite().all()


@torch.no_grad()
def test_candidates_that_are_too_near_are_rejected_unless_all_are(perceptual: Perceptual) -> None:
    tower = small_tower(Wiring.GENERIC)
    batch = batch_for(tower, Wiring.GENERIC)
    plain = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[7] * 3)
    limit = float(plain.distances[:, 0].median()) + 1e-5
    found = search(
        tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[2] * 3, too_near=limit
    )
    assert not torch.equal(found.indices, plain.indices)
    assert torch.equal(found.indices, unoptimised_search(tower, perceptual, batch, limit))
    assert ((found.distances > 0) & (found.distances < 10)).all()
    all_near = search(
        tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[7] * 3, too_near=100.0
    )
    assert torch.equal(all_near.indices, plain.indices)
    torch.testing.assert_close(all_near.distances, plain.distances)


@pytest.mark.parametrize("chunk", [1, 3])
def test_of_candidates_that_are_all_too_near_the_nearest_is_kept(chunk: int) -> None:
    class Listed(Distance):
        """The next of the distances below, at every call."""

        def __init__(self) -> None:
            super().__init__()
            self.left = iter([0.02001, 0.02, 0.020005, 0.0, 1e-30, 1e-9, 0.5, 0.03, 0.029])

        def features(self, images: torch.Tensor) -> Features:
            return (images,)

        def distance(self, images: torch.Tensor, target: Features) -> torch.Tensor:
            assert len(target) == 1
            return torch.tensor([next(self.left) for _ in images])

    tower = small_tower(Wiring.GENERIC)
    one = batch_for(tower, Wiring.GENERIC).select([0])
    choice = search(
        tower, Listed(), one, (3, 3, 3), seed=0, round_=0, chunks=[chunk] * 3, too_near=0.03
    )
    assert choice.indices.tolist() == [[1, 0, 1]]
    assert choice.distances[0].tolist() == pytest.approx([0.02, 0, 0.03], abs=1e-9)


@settings(max_examples=12)
@given(
    chunk=st.integers(1, 40),
    order=st.permutations(range(IMAGES)),
    size=st.integers(1, IMAGES),
)
def test_chunks_and_batches_do_not_change_the_choice(
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


def test_target_features_are_held_of_the_images_that_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many images of a coarse level fit into memory at once, few of a fine one."""

    class Counted(Distance):
        """Notes how many images of each size its features are asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.most: dict[int, int] = {}

        def features(self, images: torch.Tensor) -> Features:
            side = images.shape[-1]
            self.most[side] = max(len(images), self.most.get(side, 0))
            return (images,)

        def distance(self, images: torch.Tensor, target: Features) -> torch.Tensor:
            apart = images.unflatten(0, (len(target[0]), -1)) - target[0].unsqueeze(1)
            found: torch.Tensor = apart.square().mean(dim=(2, 3, 4)).flatten()
            return found

    tower, counted = small_tower(Wiring.GENERIC), Counted()
    batch = batch_for(tower, Wiring.GENERIC)
    for least, most in ((1, {8: 4, 16: 2, 32: 1}), (3, {8: 4, 16: 2, 32: 3})):
        monkeypatch.setattr(hierarchical, "TARGETS_AT_ONCE", least)
        counted.most.clear()
        search(tower, counted, batch, (2, 2, 2), seed=0, round_=0, chunks=(8, 4, 1))
        assert counted.most == most
