"""Building blocks of the tower: weight-normalised convolutions and styled residual dense blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.2
"""Negative slope of every leaky ReLU (published)."""
RESIDUAL_SCALE = 0.2
"""Scaling of a residual, inside a dense block and around three of them (published)."""
NORM_EPSILON = 1e-5
"""Added to the variance in instance normalisation (published)."""


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, with weight normalisation."""
    return weight_norm(nn.Conv2d(inputs, outputs, 3, padding=1))


def activate(features: Tensor) -> Tensor:
    """The tower's leaky ReLU."""
    return F.leaky_relu(features, SLOPE)


class DenseBlock(nn.Module):
    """Five convolutions, each seeing all before it: (B, width, H, W) to the same shape."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            convolution(width + i * growth, width if i == 4 else growth) for i in range(5)
        )

    def forward(self, features: Tensor) -> Tensor:
        grown = features
        for conv in self.convolutions[:-1]:
            grown = torch.cat((grown, activate(conv(grown))), dim=1)
        return torch.add(features, self.convolutions[-1](grown), alpha=RESIDUAL_SCALE)


class ResidualDenseBlocks(nn.Module):
    """Three dense blocks inside a residual: (B, width, H, W) to the same shape."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        return torch.add(features, self.dense(features), alpha=RESIDUAL_SCALE)


class StyleModulation(nn.Module):
    """Instance normalisation without weights, then (1 + s) * normed + t from a mapped style."""

    def __init__(self, style_width: int, width: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_width, 2 * width)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """(B, width, H, W) features and (B, style_width) styles; statistics in fp32."""
        scale, shift = self.affine(style)[..., None, None].chunk(2, dim=1)
        exact = features.float()
        variance, mean = torch.var_mean(exact, dim=(2, 3), keepdim=True, correction=0)
        gain = (1 + scale.float()) * torch.rsqrt(variance + NORM_EPSILON)
        return torch.addcmul(shift.float() - mean * gain, exact, gain).to(features.dtype)


class Body(nn.Module):
    """A level's body: styled residual dense blocks and a convolution, inside a shortcut."""

    def __init__(self, width: int, growth: int, blocks: int, style_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualDenseBlocks(width, growth) for _ in range(blocks))
        self.styles = nn.ModuleList(StyleModulation(style_width, width) for _ in range(blocks))
        self.last = convolution(width, width)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """(B, width, H, W) and (B, style_width) to (B, width, H, W).

        The modulated tensor replaces the features in the chain, as published.
        """
        inner = features
        for block, modulation in zip(self.blocks, self.styles, strict=True):
            inner = modulation(block(inner), style)
        return features + self.last(inner)


class Up(nn.Module):
    """The way to the next level: twice the size (or the same), two activated convolutions."""

    def __init__(self, width: int, enlarge: bool) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        if self.enlarge:
            features = F.interpolate(features, scale_factor=2, mode="nearest")
        return self.convolve(features)

    def convolve(self, features: Tensor) -> Tensor:
        """What follows the enlargement: (B, width, H, W) to the same shape."""
        return activate(self.second(activate(self.first(features))))
