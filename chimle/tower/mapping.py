"""Mapping networks: a level's style code and all lower styles become the level's mapped style."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chimle.tower.blocks import activate


class Mapping(nn.Module):
    """An embedding and `depth - 1` further linear layers, each with a leaky ReLU.

    With depth 1 the embedding is all there is, and lower styles do not enter.

    From the second level on, the first layer after the embedding also takes the mapped styles of
    all lower levels, coarse first, behind the level's own embedding.

    Args:
        style_size: normals in a style code.
        width: width of every layer.
        depth: linear layers, the embedding included.
        level: its number, from 0; as many lower styles enter.
    """

    def __init__(self, style_size: int, width: int, depth: int, level: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(style_size, width)
        self.layers = nn.ModuleList(
            nn.Linear(width * (level + 1) if i == 0 else width, width) for i in range(depth - 1)
        )

    def forward(self, style: Tensor, lower: Sequence[Tensor]) -> Tensor:
        """Codes (B*K, style_size) and lower styles, each (B, width), to styles (B*K, width).

        The lower styles' share of the concatenated layer is computed once per image.
        """
        embedded = activate(self.embedding(style))
        if not self.layers:
            return embedded
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        width = embedded.shape[1]
        mapped = F.linear(embedded, first.weight[:, :width], first.bias)
        if lower:
            shared = F.linear(torch.cat(tuple(lower), dim=1), first.weight[:, width:])
            repeats = style.shape[0] // shared.shape[0]
            if repeats > 1:
                shared = shared.repeat_interleave(repeats, dim=0)
            mapped = mapped + shared
        mapped = activate(mapped)
        for layer in self.layers[1:]:
            mapped = activate(layer(mapped))
        return mapped
