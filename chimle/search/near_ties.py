"""Near ties of a search in bf16, decided in fp32.

bf16 changes a distance by up to about a hundredth. Where candidates lie nearer together than that,
rounding decides which of them is kept; their images and distances are computed once more in fp32,
lower levels included.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.device import without_autocast
from chimle.perceptual.distance import Distance
from chimle.search.codes import draw_keyed
from chimle.tower.generator import Tower, select_state


def near_ties(distances: Tensor, margin: float) -> Tensor:
    """Which of B images' K candidates nearly tie for the nearest, from (B, K) distances.

    Returns:
        (B, K) bool: those that are farther than the nearest by at most `margin` of its distance,
        and the nearest itself. A row in which it is alone has none.
    """
    tied = distances <= (1 + margin) * distances.min(dim=1, keepdim=True).values
    tied &= distances.isfinite()
    return tied & (tied.sum(dim=1, keepdim=True) > 1)


def exact_distances(
    tower: Tower,
    perceptual: Distance,
    batch: Batch,
    keys: Tensor,
    chosen: Sequence[Tensor],
    rows: Tensor,
    candidates: Tensor,
    at_once: int,
) -> Tensor:
    """Distances (R,) of images at one level, in fp32 whatever autocast says.

    Args:
        tower: the generator.
        perceptual: the distance.
        batch: B images.
        keys: (B, L, 2) int64 (`chimle.search.codes.code_keys`).
        chosen: (B,) int64 per level below.
        rows: (R,) int64, which of the B images a candidate belongs to.
        candidates: (R,) int64, its index at the level.
        at_once: candidates compared at once.
    """
    level = len(chosen)
    shapes = tower.code_shapes_for(batch.conditioning)
    distances = []
    with without_autocast(rows.device):
        targets = perceptual.features(batch.targets[level])
        prefix = tower.begin(batch.conditioning, batch.jpeg)
        for below, indices in enumerate(chosen):
            code = draw_keyed(shapes[below], keys[:, below], indices[:, None])
            _, prefix = tower.step(below, prefix, code)
        for own, index in zip(rows.split(at_once), candidates.split(at_once), strict=True):
            code = draw_keyed(shapes[level], keys[own, level], index[:, None])
            images, _ = tower.step(level, select_state(prefix, own), code)
            target = tuple(feature[own] for feature in targets)
            distances.append(perceptual.distance(images, target))
    return torch.cat(distances)


def decided_exactly(
    tower: Tower,
    perceptual: Distance,
    batch: Batch,
    keys: Tensor,
    chosen: Sequence[Tensor],
    distances: Tensor,
    margin: float,
    at_once: int,
) -> Tensor:
    """The nearest of B images' K candidates, with near ties decided in fp32: (B,) int64.

    Args:
        tower: the generator.
        perceptual: the distance.
        batch: B images.
        keys: (B, L, 2) int64.
        chosen: (B,) int64 per level below, the codes that the candidates extend.
        distances: (B, K) of the candidates as a search in less precise arithmetic has them.
        margin: see `near_ties`.
        at_once: near ties compared at once.
    """
    tied = near_ties(distances, margin)
    images = tied.any(dim=1).nonzero()[:, 0]
    nearest = distances.argmin(dim=1)
    if not len(images):
        return nearest
    rows, candidates = tied[images].nonzero(as_tuple=True)
    exact = exact_distances(
        tower,
        perceptual,
        batch.select(images.tolist()),
        keys[images],
        [indices[images] for indices in chosen],
        rows,
        candidates,
        at_once,
    )
    again = torch.full_like(distances, torch.inf)
    again[images[rows], candidates] = exact.nan_to_num(nan=torch.inf)
    return torch.where(again.isfinite().any(dim=1), again.argmin(dim=1), nearest)
