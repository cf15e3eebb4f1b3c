"""LPIPS's comparison of images in one layer, in few passes over memory.

A layer's feature is its activation divided by its norm over channels, times the roots of the
layer's linear weights. The distance is the squared difference of two features, summed over channels
and averaged over space (Zhang et al., arXiv 1801.03924, equation 1). With autograd that takes about
twenty passes over activations that fit no cache. Here the distance and its gradient are computed
together, on a CPU for a few images at a time, which do fit.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from chimle.device import nhwc

EPSILON = 1e-10
"""Added to the norm, as in the `lpips` package."""
SMALLEST_NORM = 1e-30
"""Keeps the gradient of a norm of zero finite; it is multiplied with zeros."""
CACHED = 2**18
"""Numbers of an activation that a CPU's core keeps in its cache."""


def normalised(activation: Tensor, root: Tensor) -> Tensor:
    """A layer's feature (B, C, h, w), fp32.

    Args:
        activation: (B, C, h, w), fp32 or bf16.
        root: roots of the linear weights, (1, C, 1, 1).
    """
    exact = activation.float()
    return _feature(exact, _norm(exact), root)


def _norm(exact: Tensor) -> Tensor:
    """(B, 1, h, w). Unlike sqrt(sum(x^2)) it has a finite gradient where all channels are zero."""
    norm: Tensor = torch.linalg.vector_norm(exact, dim=1, keepdim=True)
    return norm


def _feature(exact: Tensor, norm: Tensor, root: Tensor) -> Tensor:
    """Multiplied in this order, every product has the activation's layout in memory."""
    feature: Tensor = (exact * (norm + EPSILON).reciprocal()).mul_(root)
    return feature


def normalised_distance(activation: Tensor, root: Tensor, target: Tensor) -> Tensor:
    """Distance in one layer, (B*K,) fp32. Only `activation` receives a gradient.

    Args:
        activation: of B*K images, (B*K, C, h, w), fp32 or bf16; row i belongs to target i // K.
        root: roots of the linear weights, (1, C, 1, 1).
        target: `normalised` activations of B targets, (B, C, h, w), fp32.
    """
    distance: Tensor = _NormalisedDistance.apply(activation, root, target)  # type: ignore[no-untyped-call]
    return distance


class _NormalisedDistance(torch.autograd.Function):
    """Saves the distances' gradients, in the activation's own arithmetic."""

    @staticmethod
    def forward(ctx: Any, activation: Tensor, root: Tensor, target: Tensor) -> Tensor:
        gradient = torch.empty_like(activation) if ctx.needs_input_grad[0] else None
        target = nhwc(target)
        distances = []
        for rows, theirs in _pieces(activation, len(target)):
            into = None if gradient is None else gradient[rows]
            distances.append(_compare(activation[rows], root, target[theirs], into))
        ctx.save_for_backward(gradient)
        return torch.cat(distances)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_distance: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        scaled = torch.empty_like(gradient)
        for rows, _ in _pieces(gradient, len(gradient)):
            scaled[rows] = gradient[rows].float() * of_distance[rows, None, None, None]
        return scaled, None, None


def _pieces(activation: Tensor, targets: int) -> Iterator[tuple[slice, slice]]:
    """Rows of images that are compared at once, and of their targets."""
    images = len(activation)
    each = images // targets
    limit = max(1, CACHED * images // activation.numel())
    if activation.device.type != "cpu":
        limit = images
    together = max(1, limit // each)
    for first in range(0, targets, together):
        last = min(first + together, targets)
        for start in range(first * each, last * each, limit):
            yield slice(start, min(start + limit, last * each)), slice(first, last)


def _compare(activation: Tensor, root: Tensor, target: Tensor, into: Tensor | None) -> Tensor:
    """Distances of some images; their gradients are written to `into`."""
    exact = activation.float()
    norm = _norm(exact)
    difference = _feature(exact, norm, root)
    difference.unflatten(0, (len(target), -1)).sub_(target.unsqueeze(1))
    area = target.shape[2] * target.shape[3]
    # Summed dimension by dimension: torch sums a single image over all in another order than many.
    per_row = torch.linalg.vector_norm(difference, dim=1).square().sum(dim=2)
    distance: Tensor = per_row.sum(dim=1) / area
    if into is not None:
        # For u = root a / |a| and d = root (u - t), it is 2 / area (d - a (a d) / |a|^2) / |a|.
        direction = difference.mul_(root)
        along = (direction * exact).sum(dim=1, keepdim=True)
        inverse = (norm + EPSILON).reciprocal()
        shrinking = along * inverse / norm.clamp_min(SMALLEST_NORM)
        into.copy_(direction.addcmul_(exact, shrinking, value=-1).mul_(inverse * (2 / area)))
    return distance
