"""Building blocks of the tower: weight-normalised convolutions and styled residual dense blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chimle.device import compute_dtype, nhwc

SLOPE = 0.2
"""Negative slope of every leaky ReLU (published)."""
RESIDUAL_SCALE = 0.2
"""Scaling of a residual, inside a dense block and around three of them (published)."""
NORM_EPSILON = 1e-5
"""Added to the variance in instance normalisation (published)."""
CPU_LANES = 16
"""Outputs that a convolution on a CPU computes at once: fewer take as long (oneDNN, AVX-512)."""


class Convolution(nn.Module):
    """A 3x3 convolution that keeps the size, with weight normalisation: g * v / |v|.

    Weights are kept under their published names: `weight_g` (outputs, 1, 1, 1), `weight_v`
    (outputs, inputs, 3, 3), `bias` (outputs,), fp32. The kernel made of them is cast and laid out
    channels_last at once, without which every convolution would run in NCHW.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        start = nn.Conv2d(inputs, outputs, 3)
        assert start.bias is not None
        self.weight_g = nn.Parameter(torch.empty(outputs, 1, 1, 1))
        self.weight_v = nn.Parameter(torch.empty_like(start.weight))
        self.bias = nn.Parameter(start.bias.detach())
        self._kept: dict[torch.dtype, Tensor] | None = None
        self._keepers = 0
        self.set_weight(start.weight.detach())

    def weight(self) -> Tensor:
        """The normalised weight (outputs, inputs, 3, 3), fp32."""
        return torch._weight_norm(self.weight_v, self.weight_g, 0)

    @torch.no_grad()
    def set_weight(self, weight: Tensor) -> None:
        """Make (outputs, inputs, 3, 3) the normalised weight, and drop kernels made before."""
        self._kept = None
        self.weight_v.copy_(weight)
        self.weight_g.copy_(torch.linalg.vector_norm(weight, dim=(1, 2, 3), keepdim=True))

    def kernel(self) -> Tensor:
        """The normalised weight in the arithmetic that autocast asks for, channels_last."""
        number = compute_dtype(self.weight_v)
        kept = self._kept  # Another thread may drop it meanwhile.
        if kept is not None and number in kept:
            return kept[number]
        kernel = self.weight().to(number, memory_format=torch.channels_last)
        if kept is not None:
            kept[number] = kernel
        return kernel

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return F.conv2d(features, self.kernel(), self.bias, padding=1)


_KEEPERS = Lock()
"""Held while blocks of `materialised` are counted."""


@contextmanager
def materialised(*modules: nn.Module) -> Iterator[None]:
    """Make each convolution's kernel once: for passes without gradients over frozen weights.

    Threads may compute with one module at the same time: the last block to end drops the kernels.
    """
    convolutions = [m for module in modules for m in module.modules() if isinstance(m, Convolution)]
    with _KEEPERS:
        for convolution in convolutions:
            convolution._keepers += 1
            if convolution._kept is None:
                convolution._kept = {}
    try:
        yield
    finally:
        with _KEEPERS:
            for convolution in convolutions:
                convolution._keepers -= 1
                if not convolution._keepers:
                    convolution._kept = None


def activate(features: Tensor) -> Tensor:
    """The tower's leaky ReLU."""
    return F.leaky_relu(features, SLOPE)


@torch.no_grad()
def keep_kernels(module: nn.Module) -> None:
    """Make each convolution's fp32 kernel once and for all, for a module that no longer learns."""
    for convolution in module.modules():
        if isinstance(convolution, Convolution):
            convolution._keepers += 1
            convolution._kept = {torch.float32: convolution.weight()}


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in parts]
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(nhwc(part) for part in gradient.split(ctx.channels, dim=1))


def join(*parts: Tensor) -> Tensor:
    """Concatenated channels.

    On a CPU every part's gradient is copied out of the whole's: element by element, a slice of
    channels is many times slower than its copy.
    """
    if parts[0].device.type != "cpu" or not torch.is_grad_enabled():
        return torch.cat(parts, dim=1)
    joined: Tensor = _Join.apply(*parts)  # type: ignore[no-untyped-call]
    return joined


def convolve_pair(first: nn.Module, second: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
    """Two activated convolutions, of which the second sees `features` and the first one's output.

    What both see, (B, C, H, W), is convolved once for both: where few outputs leave a CPU's lanes
    empty, the second convolution of it costs nothing.
    """
    assert isinstance(first, Convolution)
    assert isinstance(second, Convolution)
    seen = features.shape[1]
    kernel = second.kernel()
    shared = F.conv2d(
        features,
        torch.cat((first.kernel(), kernel[:, :seen])),
        torch.cat((first.bias, second.bias)),
        padding=1,
    )
    own, part = (nhwc(half) for half in shared.split((len(first.bias), len(second.bias)), dim=1))
    early = activate(own)
    return early, activate(part + F.conv2d(early, nhwc(kernel[:, seen:]), padding=1))


class DenseBlock(nn.Module):
    """Five convolutions, each seeing all before it: (B, width, H, W) to the same shape."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            Convolution(width + i * growth, width if i == 4 else growth) for i in range(5)
        )
        self.pairs_pay = 0 < growth % CPU_LANES <= CPU_LANES // 2

    def forward(self, features: Tensor) -> Tensor:
        *growing, last = self.convolutions
        grown = features
        if self.pairs_pay and features.device.type == "cpu":
            for first, second in (growing[:2], growing[2:]):
                grown = join(grown, *convolve_pair(first, second, grown))
        else:
            for conv in growing:
                grown = join(grown, activate(conv(grown)))
        return torch.add(features, last(grown), alpha=RESIDUAL_SCALE)


class ResidualDenseBlocks(nn.Module):
    """Three dense blocks inside a residual: (B, width, H, W) to the same shape."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        return torch.add(features, self.dense(features), alpha=RESIDUAL_SCALE)


def spatial_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and mean of each channel of (B, C, H, W), both (B, C, 1, 1).

    torch's `var_mean` is not vectorised on a CPU: two passes are several times as fast.
    """
    if features.device.type != "cpu":
        return torch.var_mean(features, dim=(2, 3), keepdim=True, correction=0)
    mean = features.mean(dim=(2, 3), keepdim=True)
    return (features - mean).square().mean(dim=(2, 3), keepdim=True), mean


class StyleModulation(nn.Module):
    """Instance normalisation without weights, then (1 + s) * normed + t from a mapped style."""

    def __init__(self, style_width: int, width: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_width, 2 * width)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """(B, width, H, W) features and (B, style_width) styles; statistics in fp32."""
        scale, shift = self.affine(style)[..., None, None].chunk(2, dim=1)
        exact = features.float()
        variance, mean = spatial_moments(exact)
        gain = (1 + scale.float()) * torch.rsqrt(variance + NORM_EPSILON)
        return torch.addcmul(shift.float() - mean * gain, exact, gain).to(features.dtype)


class Body(nn.Module):
    """A level's body: styled residual dense blocks and a convolution, inside a shortcut."""

    def __init__(self, width: int, growth: int, blocks: int, style_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualDenseBlocks(width, growth) for _ in range(blocks))
        self.styles = nn.ModuleList(StyleModulation(style_width, width) for _ in range(blocks))
        self.last = Convolution(width, width)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """(B, width, H, W) and (B, style_width) to (B, width, H, W).

        The modulated tensor replaces the features in the chain, as published.
        """
        inner = features
        for block, modulation in zip(self.blocks, self.styles, strict=True):
            inner = modulation(block(inner), style)
        residual: Tensor = self.last(inner)
        return features + residual


class Up(nn.Module):
    """Upsampling to the next level: twice the size (or the same), two activated convolutions."""

    def __init__(self, width: int, enlarge: bool) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.first = Convolution(width, width)
        self.second = Convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        if self.enlarge:
            features = F.interpolate(features, scale_factor=2, mode="nearest")
        return self.convolve(features)

    def convolve(self, features: Tensor) -> Tensor:
        """What follows the enlargement: (B, width, H, W) to the same shape."""
        return activate(self.second(activate(self.first(features))))
