"""Hierarchical search for codes: exact, streamed, batched over images (paper, section 3).

For every level in turn, candidates extend each image's kept prefix, their images are compared
with the target at that level's size, and the nearest stays. Nothing below a level is computed
twice, distances are reduced as they come, and neither the chunk size nor the grouping of images
changes which code is chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.device import compute_dtype, without_autocast
from chimle.perceptual.distance import Distance, Features
from chimle.search.codes import Purpose, code_keys, draw_keyed
from chimle.search.near_ties import decide
from chimle.tower.blocks import materialised
from chimle.tower.generator import Tower
from chimle.tower.state import TowerState, joined_states, merged_states, select_state

REJECTED = 2.0**100
"""Factor on the distance of a rejected candidate: no other is as far, and no digit is lost."""
LEAST_REJECTED = 1e-20
"""Smaller distances of rejected candidates count as this, so that the factor makes them large."""


@dataclass(frozen=True)
class Choice:
    """The codes chosen for B images.

    Attributes:
        indices: (B, L) int64, the candidate kept at every level.
        distances: (B, L) float32, its distance to the target at that level.
    """

    indices: Tensor
    distances: Tensor


TARGETS_AT_ONCE = 4
"""Targets whose features are made together, even where fewer candidates fit into memory."""


def slices(length: int, size: int) -> Iterator[slice]:
    """0 to `length` in pieces of `size`, the last one maybe smaller."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


@dataclass(frozen=True)
class _LevelSearch:
    """The search of one level for a group of G images.

    Attributes:
        tower, perceptual: the generator and the distance.
        batch: the G images.
        keys: (G, L, 2) int64 (`code_keys`).
        chosen: (G,) int64 per level below, the codes that candidates extend.
        count: candidates of each image.
        chunk: candidates compared at once.
        too_near, near_tie: as `search` takes them.
    """

    tower: Tower
    perceptual: Distance
    batch: Batch
    keys: Tensor
    chosen: tuple[Tensor, ...]
    count: int
    chunk: int
    too_near: float
    near_tie: float

    @property
    def level(self) -> int:
        """The level that is searched, from 0."""
        return len(self.chosen)

    def run(self, state: TowerState) -> tuple[Tensor, Tensor, TowerState]:
        """The nearest candidates of all images: indices (G,), distances (G,), prefix of G rows.

        Args:
            state: prefix of the levels below.
        """
        found = []
        for rows, target in self._targets(max(1, self.chunk // self.count)):
            own = torch.arange(rows.start, rows.stop, device=self.keys.device)
            found.append(self.nearest(own, select_state(state, own), target))
        indices, distances, states = zip(*found, strict=True)
        return torch.cat(indices), torch.cat(distances), joined_states(states)

    def _targets(self, images: int) -> Iterator[tuple[slice, Features]]:
        """Rows of so many images at a time, and the features of their targets."""
        # Made of several at once: one by one they take longer. Those of a whole group could take
        # more memory than the candidates.
        together = images * max(1, max(TARGETS_AT_ONCE, self.chunk // 4) // images)
        for part in slices(len(self.batch), together):
            made = self.perceptual.features(self.batch.targets[self.level][part])
            for own in slices(part.stop - part.start, images):
                rows = slice(part.start + own.start, part.start + own.stop)
                yield rows, tuple(feature[own] for feature in made)

    def step(self, prefix: TowerState, rows: Tensor, indices: Tensor) -> tuple[Tensor, TowerState]:
        """Extend a prefix of R rows by their candidates (R, K); `rows` (R,) are their images."""
        shape = self.tower.code_shapes_for(prefix.conditioning)[self.level]
        code = draw_keyed(shape, self.keys[rows, self.level], indices)
        return self.tower.step(self.level, prefix, code)

    def distances(self, images: Tensor, target: Features) -> Tensor:
        """(B, K) by which candidates are compared: far for no number, and for one too near."""
        found = self.perceptual.distance(images, target).view(len(target[0]), -1)
        found = found.nan_to_num(nan=torch.inf, posinf=torch.inf)
        rejected = found.clamp_min(LEAST_REJECTED) * REJECTED
        return torch.where(found < self.too_near, rejected, found)

    def nearest(
        self, rows: Tensor, prefix: TowerState, target: Features
    ) -> tuple[Tensor, Tensor, TowerState]:
        """The nearest candidates of B images: indices (B,), distances (B,), prefix of B rows.

        Args:
            rows: (B,) int64, which images of the group.
            prefix: of the B images.
            target: features of their targets at this level.
        """
        own = torch.arange(len(rows), device=rows.device)
        index = torch.zeros_like(rows)
        kept: TowerState | None = None
        every: list[Tensor] = []
        nearest = torch.full(rows.shape, torch.inf, device=rows.device)
        for part in slices(self.count, self.chunk):
            indices = torch.arange(part.start, part.stop, device=rows.device)
            images, state = self.step(prefix, rows, indices.expand(len(rows), -1))
            every.append(self.distances(images, target))
            distance, local = every[-1].min(dim=1)
            found = select_state(state, own * len(indices) + local)
            # Strictly less: of equals the first stays, whatever the chunks.
            nearer = distance < nearest
            index = torch.where(nearer, part.start + local, index)
            nearest = torch.where(nearer, distance, nearest)
            kept = found if kept is None else merged_states(nearer, found, kept)
        assert kept is not None
        if self.near_tie:
            distances = torch.cat(every, dim=1)
            decided = decide(
                distances,
                self.near_tie,
                lambda images, candidates: self.exact_distances(rows[images], candidates),
            )
            kept = self._exchanged(rows, prefix, kept, index, decided)
            index, nearest = decided, distances.gather(1, decided[:, None])[:, 0]
        rejected = nearest.isfinite() & (nearest >= LEAST_REJECTED * REJECTED)
        return index, torch.where(rejected, nearest / REJECTED, nearest), kept

    def exact_distances(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Distances (R,) of candidates (R,) of the images `rows` (R,), in fp32 whatever autocast
        says, lower levels included.
        """
        images, own = torch.unique(rows, return_inverse=True)
        batch, distances = self.batch.select(images.tolist()), []
        with without_autocast(rows.device):
            targets = self.perceptual.features(batch.targets[self.level])
            shapes = self.tower.code_shapes_for(batch.conditioning)
            prefix = self.tower.begin(batch.conditioning, batch.jpeg)
            for below, indices in enumerate(self.chosen):
                code = draw_keyed(shapes[below], self.keys[images, below], indices[images, None])
                _, prefix = self.tower.step(below, prefix, code)
            # fp32 takes twice the memory for which `chunk` was planned.
            for part in slices(len(rows), max(1, self.chunk // 2)):
                begun = select_state(prefix, own[part])
                found, _ = self.step(begun, rows[part], candidates[part, None])
                target = tuple(feature[own[part]] for feature in targets)
                distances.append(self.perceptual.distance(found, target))
        return torch.cat(distances)

    def _exchanged(
        self, rows: Tensor, prefix: TowerState, kept: TowerState, index: Tensor, decided: Tensor
    ) -> TowerState:
        """`kept`, the state of candidates `index` (B,), with `decided` (B,) where they differ."""
        changed = (decided != index).nonzero()[:, 0]
        if not len(changed):
            return kept
        _, other = self.step(select_state(prefix, changed), rows[changed], decided[changed, None])
        order = torch.arange(len(index), device=index.device)
        order[changed] = len(index) + torch.arange(len(changed), device=index.device)
        return select_state(joined_states((kept, other)), order)


def _search_group(
    tower: Tower,
    perceptual: Distance,
    batch: Batch,
    candidates: Sequence[int],
    keys: Tensor,
    chunks: Sequence[int],
    too_near: float,
    near_tie: float,
) -> Choice:
    """`search` of G images whose prefixes are kept at once; `keys` (G, L, 2) int64 name them."""
    state = tower.begin(batch.conditioning, batch.jpeg)
    indices: list[Tensor] = []
    distances: list[Tensor] = []
    for count, chunk in zip(candidates, chunks, strict=True):
        level_search = _LevelSearch(
            tower, perceptual, batch, keys, tuple(indices), count, chunk, too_near, near_tie
        )
        index, distance, state = level_search.run(state)
        indices.append(index)
        distances.append(distance)
    return Choice(torch.stack(indices, dim=1), torch.stack(distances, dim=1))


@torch.no_grad()
def search(
    tower: Tower,
    perceptual: Distance,
    batch: Batch,
    candidates: Sequence[int],
    *,
    seed: int,
    round_: int,
    chunks: Sequence[int],
    purpose: Purpose = "search",
    too_near: float = 0.0,
    near_tie: float = 0.0,
) -> Choice:
    """Choose a code per level for every image of a batch.

    Args:
        tower: the generator; used as it is, without gradients.
        perceptual: the distance to minimise.
        batch: B images with their conditioning and target pyramids.
        candidates: candidates per level, coarse first.
        seed: seed of the run.
        round_: training round; each draws its own candidates.
        chunks: candidates evaluated at once, per level (`chimle.search.chunking`); they change no
            choice.
        purpose: names the candidates: `search` in training, `sample` to find a sample.
        too_near: candidates at a smaller distance are rejected (RS-IMLE, see
            `chimle.settings.search`); 0: none is.
        near_tie: in bf16, candidates that are farther than the nearest one by at most this share
            of its distance are compared with it in fp32; 0: none are.
    """
    device = batch.targets[0].device
    if compute_dtype(next(tower.parameters())) == torch.float32:
        near_tie = 0.0  # The distances are exact already.
    # As many images as the level that takes most at once: each keeps a prefix.
    group = max(max(1, c // k) for c, k in zip(chunks, candidates, strict=True))
    keys = code_keys(
        batch.keys,
        tower.settings.levels,
        seed=seed,
        round_=round_,
        purpose=purpose,
        device=device,
    )
    with materialised(tower):
        found = [
            _search_group(
                tower,
                perceptual,
                batch.select(range(members.start, members.stop)),
                candidates,
                keys[members],
                chunks,
                too_near,
                near_tie,
            )
            for members in slices(len(batch), group)
        ]
    return Choice(
        torch.cat([choice.indices for choice in found]),
        torch.cat([choice.distances for choice in found]),
    )
