"""What every distance offers to search and training."""

from torch import Tensor, nn

Features = tuple[Tensor, ...]
"""What a distance compares: several (B, C, h, w)."""


class Distance(nn.Module):
    """What images can be compared by, with the target's share computed once."""

    def features(self, images: Tensor) -> Features:
        """(B, 3, H, W) in [0, 1] to what the distance compares, with B rows each."""
        raise NotImplementedError

    def distance(self, images: Tensor, target: Features) -> Tensor:
        """Distance of (B*K, 3, H, W) in [0, 1] to the features of B targets: (B*K,) fp32.

        Row i is compared with target i // K.
        """
        raise NotImplementedError
