"""An exponential moving average of weights, for sampling."""

import copy

import torch
from torch import nn


class WeightAverage:
    """Averaged copy of a module.

    The decay is warmed up as min(decay, (1 + step) / (10 + step)), so that short runs do not
    sample from their own initialisation.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards `module` after gradient step number `step` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[torch.Tensor] = list(self.module.parameters())
        values = [parameter.detach() for parameter in module.parameters()]
        torch._foreach_lerp_(averages, values, 1.0 - decay)
