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
from chimle.tower.generator import Tower


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
    tower: Tower, perceptual: Distance, batch: Batch, keys: Tensor, codes: Tensor
) -> Tensor:
    """Distances (R,) of images at one level, in fp32 whatever autocast says.

    Args:
        tower: the generator.
        perceptual: the distance.
        batch: R images.
        keys: (R, L, 2) int64 (`chimle.search.codes.code_keys`).
        codes: (R, n) int64, their codes at the first n levels; the n-th is compared.
    """
    level = codes.shape[1] - 1
    with without_autocast(codes.device):
        target = perceptual.features(batch.targets[level])
        state = tower.begin(batch.conditioning, batch.jpeg)
        image = None
        for number, shape in enumerate(tower.code_shapes_for(batch.conditioning)[: level + 1]):
            code = draw_keyed(shape, keys[:, number], codes[:, number : number + 1])
            image, state = tower.step(number, state, code)
        assert image is not None
        return perceptual.distance(image, target)


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
    rows, candidates = near_ties(distances, margin).nonzero(as_tuple=True)
    below = [indices[rows] for indices in chosen]
    codes = torch.stack((*below, candidates), dim=1)
    exact = distances.new_empty(len(rows))
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        images = rows[part]
        exact[part] = exact_distances(
            tower, perceptual, batch.select(images.tolist()), keys[images], codes[part]
        )
    again = torch.full_like(distances, torch.inf)
    again[rows, candidates] = exact.nan_to_num(nan=torch.inf)
    return torch.where(again.isfinite().any(dim=1), again.argmin(dim=1), distances.argmin(dim=1))
