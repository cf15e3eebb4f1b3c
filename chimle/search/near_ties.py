"""Near ties of a search in bf16, decided in fp32.

bf16 changes a distance by up to about a hundredth. Where candidates lie nearer together than that,
rounding decides which of them is kept; their images and distances are computed once more in fp32,
lower levels included.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def near_ties(distances: Tensor, margin: float) -> Tensor:
    """Which of B images' K candidates nearly tie for the nearest, from (B, K) distances.

    Returns:
        (B, K) bool: those that are farther than the nearest by at most `margin` of its distance,
        and the nearest itself. A row in which it is alone has none.
    """
    tied = distances <= (1 + margin) * distances.min(dim=1, keepdim=True).values
    tied &= distances.isfinite()
    return tied & (tied.sum(dim=1, keepdim=True) > 1)


def decide(
    distances: Tensor, margin: float, exact_distances: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The nearest of B images' K candidates, with near ties decided exactly: (B,) int64.

    Args:
        distances: (B, K) of the candidates as a search in less precise arithmetic has them.
        margin: see `near_ties`.
        exact_distances: takes images (R,) int64, of the B, and candidates (R,) int64, of the K;
            returns their distances (R,).
    """
    images, candidates = near_ties(distances, margin).nonzero(as_tuple=True)
    nearest = distances.argmin(dim=1)
    if not len(images):
        return nearest
    again = torch.full_like(distances, torch.inf)
    again[images, candidates] = exact_distances(images, candidates).nan_to_num(nan=torch.inf)
    return torch.where(again.isfinite().any(dim=1), again.argmin(dim=1), nearest)
