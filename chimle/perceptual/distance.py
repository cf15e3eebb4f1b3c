"""What every distance offers to search and training."""

import torch
from torch import Tensor, nn

Features = tuple[Tensor, ...]
"""What a distance compares: several (B, C, h, w)."""


class Distance(nn.Module):
    """What images can be compared by, with the target's share computed once."""

    def features(self, images: Tensor) -> Features:
        """(B, 3, H, W) in [0, 1] to what the distance compares, with B rows each."""
        raise NotImplementedError

    def scales_of(self, images: Tensor) -> int:  # noqa: ARG002 - for subclasses
        """How many scales `features` of (B, 3, H, W) are of; the distance is the mean over them."""
        return 1

    def distance(self, images: Tensor, target: Features) -> Tensor:
        """Distance of (B*K, 3, H, W) in [0, 1] to the features of B targets: (B*K,) fp32.

        Row i is compared with target i // K.
        """
        raise NotImplementedError


def squared_distance(found: Features, target: Features) -> Tensor:
    """Squared differences, summed over channels and features, averaged over space: (B*K,) fp32.

    Args:
        found: of B*K images; row i is compared with target i // K.
        target: of B targets.
    """
    total = torch.zeros((), device=target[0].device)
    for mine, theirs in zip(found, target, strict=True):
        area = theirs.shape[2] * theirs.shape[3]
        difference = mine.unflatten(0, (len(theirs), -1)) - theirs.unsqueeze(1)
        total = total + difference.square().sum(dim=(2, 3, 4)).flatten() / area
    return total
