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
from chimle.images.jpeg import joined_intervals
from chimle.perceptual.distance import Distance, Features
from chimle.search.codes import Purpose, code_keys, draw_keyed
from chimle.tower.blocks import materialised
from chimle.tower.generator import Tower, TowerState, select_state

REJECTED = 1e3
"""Added to the distance of a rejected candidate: no other is as far."""


@dataclass(frozen=True)
class Choice:
    """The codes chosen for B images.

    Attributes:
        indices: (B, L) int64, the candidate kept at every level.
        distances: (B, L) float32, its distance to the target at that level.
    """

    indices: Tensor
    distances: Tensor


def slices(length: int, size: int) -> Iterator[slice]:
    """0 to `length` in pieces of `size`, the last one maybe smaller."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _merge(mask: Tensor, new: TowerState, old: TowerState) -> TowerState:
    """Row by row `new` where `mask` (B,) holds, else `old`."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b)

    return TowerState(
        conditioning=old.conditioning,
        styles=tuple(pick(a, b) for a, b in zip(new.styles, old.styles, strict=True)),
        feature=None
        if new.feature is None or old.feature is None
        else pick(new.feature, old.feature),
        image=None if new.image is None or old.image is None else pick(new.image, old.image),
        jpeg=old.jpeg,
    )


def _cat(states: Sequence[TowerState]) -> TowerState:
    """States of consecutive images as one."""

    def join(tensors: Sequence[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(present) if present else None

    return TowerState(
        conditioning=tuple(map(torch.cat, zip(*(s.conditioning for s in states), strict=True))),
        styles=tuple(map(torch.cat, zip(*(s.styles for s in states), strict=True))),
        feature=join([state.feature for state in states]),
        image=join([state.image for state in states]),
        jpeg=joined_intervals([state.jpeg for state in states]),
    )


def _nearest(
    tower: Tower,
    perceptual: Distance,
    prefix: TowerState,
    target: Features,
    keys: Tensor,
    level: int,
    count: int,
    chunk: int,
    too_near: float,
) -> tuple[Tensor, Tensor, TowerState]:
    """The nearest of `count` candidates for B images: indices (B,), distances (B,), state.

    A candidate whose distance is no number counts as infinitely far; one nearer than `too_near`
    only where all are.
    """
    shape = tower.code_shapes_for(prefix.conditioning)[level]
    device = target[0].device
    rows = torch.arange(len(keys), device=device)
    best: tuple[Tensor, Tensor, TowerState] | None = None
    for part in slices(count, chunk):
        indices = torch.arange(part.start, part.stop, device=device).expand(len(keys), -1)
        image, state = tower.step(level, prefix, draw_keyed(shape, keys, indices))
        distances = perceptual.distance(image, target).view(len(keys), -1)
        distances = distances.nan_to_num(nan=torch.inf, posinf=torch.inf)
        if too_near:
            distances = torch.where(distances < too_near, distances + REJECTED, distances)
        distance, local = distances.min(dim=1)
        kept = select_state(state, rows * indices.shape[1] + local)
        found = (part.start + local, distance, kept)
        if best is None:
            best = found
            continue
        # Strictly less: of equals the first stays, whatever the chunks.
        nearer = distance < best[1]
        best = (
            torch.where(nearer, found[0], best[0]),
            torch.where(nearer, distance, best[1]),
            _merge(nearer, kept, best[2]),
        )
    assert best is not None
    index, distance, state = best
    if too_near:
        distance = torch.where(distance < REJECTED, distance, distance - REJECTED)
    return index, distance, state


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
    """
    # As many images as the level that takes most at once: each keeps a prefix.
    group = max(max(1, c // k) for c, k in zip(chunks, candidates, strict=True))
    chosen: list[Tensor] = []
    reached: list[Tensor] = []
    keys = code_keys(
        batch.keys,
        tower.settings.levels,
        seed=seed,
        round_=round_,
        purpose=purpose,
        device=batch.targets[0].device,
    )
    with materialised(tower):
        for members in slices(len(batch), group):
            part = batch.select(range(members.start, members.stop))
            state = tower.begin(part.conditioning, part.jpeg)
            indices, distances = [], []
            for level, (count, chunk) in enumerate(zip(candidates, chunks, strict=True)):
                target = perceptual.features(part.targets[level])
                found = [
                    _nearest(
                        tower,
                        perceptual,
                        select_state(state, torch.arange(s.start, s.stop, device=target[0].device)),
                        tuple(feature[s] for feature in target),
                        keys[members][s, level],
                        level,
                        count,
                        chunk,
                        too_near,
                    )
                    for s in slices(len(part), max(1, chunk // count))
                ]
                indices.append(torch.cat([f[0] for f in found]))
                distances.append(torch.cat([f[1] for f in found]))
                state = _cat([f[2] for f in found])
            chosen.append(torch.stack(indices, dim=1))
            reached.append(torch.stack(distances, dim=1))
    return Choice(torch.cat(chosen), torch.cat(reached))
