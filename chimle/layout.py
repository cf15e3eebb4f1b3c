"""The layout of feature maps in memory: channels last."""

import torch
from torch import Tensor


def nhwc(tensor: Tensor) -> Tensor:
    """The same (B, C, H, W) with channels last in memory, without a copy where they are already."""
    return tensor.contiguous(memory_format=torch.channels_last)
