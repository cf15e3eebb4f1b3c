"""A clamp whose gradient leads back inside."""

from typing import Any

import torch
from torch import Tensor


class ClampTowards(torch.autograd.Function):
    """Clamp to [low, high]; outside, only a gradient that leads back inside passes.

    A plain clamp stops every gradient outside its interval, and the identity's gradient would drive
    values ever farther out.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        """Values clamped."""
        ctx.save_for_backward(values > high, values < low)
        return values.clamp(low, high)  # type: ignore[arg-type]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, but where a descent step would lead farther out."""
        (gradient,) = gradients
        above, below = ctx.saved_tensors
        outward = (above & (gradient < 0)) | (below & (gradient > 0))
        return gradient.masked_fill(outward, 0.0), None, None
