"""A distance without weights: gradients of several scales and their local energy.

For runs that have no perceptual weights. Random convolutions in LPIPS's place see one phase of
their strides and leave regular patterns in what is trained on them; this distance compares what is
known of images instead. Luminance and chrominance are halved again and again (Burt and Adelson, The
Laplacian Pyramid, 1983). At every scale the differences of neighbours in four directions are
compared pixel by pixel, which holds edges in their place, and, but for the finest, the root of
their modulus averaged over a neighbourhood, which asks for as much detail as the target has,
wherever it lies: the first order of a scattering transform (Bruna and Mallat, 2013). At the
coarsest scale colours are compared.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.device import without_autocast
from chimle.images.colour import RGB_TO_YCC
from chimle.perceptual.distance import Distance, Features, squared_distance

NAME = "gradients"
"""In provenance."""
COARSEST = 4
"""Halving ends before a side would be shorter, pixels."""
DIFFERENCES = 0.7
"""Factor on differences of neighbours."""
ENERGIES = 0.35
"""Factor on their local energy."""
CHROMINANCE = 0.6
"""Factor on chrominance, relative to luminance."""
SMALLEST_ENERGY = 0.01
"""Added in quadrature to a difference: below it, contrast is not seen."""
NEIGHBOURHOOD, STRIDE = 4, 2
"""Side of the squares that energy is averaged over, and how far apart they lie, pixels."""


def _differences(images: Tensor) -> Tensor:
    """(B, C, H, W) to (B, 4 * C, H - 1, W - 1): to the right, down, and along both diagonals."""
    here, right = images[..., :-1, :-1], images[..., :-1, 1:]
    below, across = images[..., 1:, :-1], images[..., 1:, 1:]
    diagonal = 0.5**0.5
    return torch.cat(
        (right - here, below - here, (across - here) * diagonal, (below - right) * diagonal), dim=1
    )


def _energy(differences: Tensor) -> Tensor:
    """The root of the modulus, averaged over neighbourhoods where they fit."""
    modulus = (differences.square() + SMALLEST_ENERGY**2).sqrt()
    if min(modulus.shape[-2:]) >= NEIGHBOURHOOD:
        modulus = F.avg_pool2d(modulus, NEIGHBOURHOOD, STRIDE)
    return modulus.sqrt()


class GradientDistance(Distance):
    """Mean squared difference of gradients, local energies and coarse colours."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.tensor([1.0, CHROMINANCE, CHROMINANCE])
        self.register_buffer("matrix", torch.tensor(RGB_TO_YCC) * weights[:, None])

    def features(self, images: Tensor) -> Features:
        """(B, 3, H, W) in [0, 1] to differences and energies per scale, and the coarsest colours.

        A feature's share of the distance is the mean over pixels of the sum over channels of its
        squared difference.
        """
        with without_autocast(images.device):
            matrix: Tensor = self.matrix  # type: ignore[assignment]
            scale = torch.einsum("oc,bchw->bohw", matrix, images.float())
            found = [DIFFERENCES * _differences(scale)]
            while min(scale.shape[-2:]) >= 2 * COARSEST:
                scale = F.avg_pool2d(scale, 2)
                differences = _differences(scale)
                found += [DIFFERENCES * differences, ENERGIES * _energy(differences)]
            return (*found, scale)

    def distance(self, images: Tensor, target: Features) -> Tensor:
        """Distance of (B*K, 3, H, W) in [0, 1] to the features of B targets: (B*K,) fp32.

        Row i is compared with target i // K.
        """
        return squared_distance(self.features(images), target)
