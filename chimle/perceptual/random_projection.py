"""LPIPS as the published program compares candidates: by random projections of its features.

Kept to measure what the approximation costs (METHOD: exact search is worth 5 to 10 times the
candidates). Per layer, features divided by the root of their area are multiplied by a fixed
Gaussian matrix, so that squared distances are kept on average (Johnson and Lindenstrauss 1984).
"""

import hashlib

import torch
from torch import Tensor

from chimle.device import without_autocast
from chimle.perceptual.distance import Distance, Features


class RandomProjection(Distance):
    """Stands in for LPIPS in a search.

    Args:
        exact: whose features are projected.
        projections: dimensions, shared out equally over the layers of all scales; each has one
            at least.
    """

    def __init__(self, exact: Distance, projections: int) -> None:
        super().__init__()
        self.exact, self.projections = exact, projections
        self._matrices: dict[tuple[int, ...], Tensor] = {}

    def _matrix(self, layer: int, length: int, dimensions: int, device: torch.device) -> Tensor:
        """(length, dimensions): fixed by layer and sizes, made once."""
        key = (layer, length, dimensions)
        if key not in self._matrices:
            name = hashlib.sha256(repr(key).encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(name[:8], "big") >> 1)
            matrix = torch.randn(length, dimensions, generator=generator) * dimensions**-0.5
            self._matrices[key] = matrix.to(device)
        return self._matrices[key]

    def features(self, images: Tensor) -> Features:
        """(B, 3, H, W) in [0, 1] to projected features, (B, d) per layer, fp32."""
        layers = self.exact.features(images)
        share, rest = divmod(self.projections, len(layers))
        projected = []
        with without_autocast(images.device):
            for number, layer in enumerate(layers):
                flat = layer.flatten(1) * (layer.shape[2] * layer.shape[3]) ** -0.5
                dimensions = max(share + int(number < rest), 1)
                matrix = self._matrix(number, flat.shape[1], dimensions, flat.device)
                projected.append(flat @ matrix)
        return tuple(projected)

    def distance(self, images: Tensor, target: Features) -> Tensor:
        """About the LPIPS of (B*K, 3, H, W) in [0, 1] to B targets' features: (B*K,) fp32."""
        total = torch.zeros((), device=images.device)
        for mine, theirs in zip(self.features(images), target, strict=True):
            difference = mine.unflatten(0, (len(theirs), -1)) - theirs.unsqueeze(1)
            total = total + difference.square().sum(dim=2).flatten()
        return total / self.exact.scales_of(images)
