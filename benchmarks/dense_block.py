"""A dense block, the ways to compute it on a CPU without gradients.

    python -m benchmarks.dense_block [--repeats 7]

Each row is a block of one size: width, growth, images, side. Times are ratios to the first way,
which concatenates, in the same run. *Alone* are the convolutions of inputs that are there already:
no way can be faster.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import interleaved, machine
from chimle.device import nhwc, prepare_process
from chimle.tower.blocks import RESIDUAL_SCALE, SLOPE, DenseBlock, activate, materialised

SIZES = (
    (32, 16, 16, 32),
    (40, 20, 8, 64),
    (24, 16, 8, 64),
    (16, 12, 8, 128),
    (16, 8, 8, 128),
    (64, 32, 4, 64),
)
"""Width, growth, images and side of the blocks."""


def residual(features: Tensor, last: Tensor) -> Tensor:
    """A block's output from its input and its last convolution."""
    return torch.add(features, last, alpha=RESIDUAL_SCALE)


def concatenated(features: Tensor, kernels: list[Tensor], biases: list[Tensor]) -> Tensor:
    """A block of (B, width, H, W) features; five kernels and biases in their number format."""
    grown = features
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        made = activate(F.conv2d(grown, kernel, bias, padding=1))
        grown = torch.cat((grown, made), dim=1)
    return residual(features, F.conv2d(grown, kernels[-1], biases[-1], padding=1))


class Ways:
    """The ways to compute one block of one input; every way returns the block's output."""

    def __init__(self, width: int, growth: int, images: int, side: int, dtype: torch.dtype) -> None:
        self.block = DenseBlock(width, growth).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.features = nhwc(torch.randn(images, width, side, side)).to(dtype)
        self.width, self.growth, self.dtype = width, growth, dtype
        with torch.no_grad():
            convolutions = list(self.block.convolutions)
            self.kernels = [nhwc(c.weight()).to(dtype) for c in convolutions]
            self.biases = [c.bias.to(dtype) for c in convolutions]
        self.grown = [
            nhwc(torch.randn(images, kernel.shape[1], side, side)).to(dtype)
            for kernel in self.kernels
        ]
        torch.compiler.reset()  # Else it gives up at the eighth size.
        self._compiled = torch.compile(concatenated, dynamic=False)
        starts = [0, *(width + i * growth for i in range(5))]
        self.by_source = [
            nhwc(torch.cat([k[:, starts[j] : starts[j + 1]] for k in self.kernels[j:]]))
            for j in range(5)
        ]

    def concatenated(self) -> Tensor:
        """One convolution after the other, of the concatenation of all before it."""
        return concatenated(self.features, self.kernels, self.biases)

    def as_the_tower(self) -> Tensor:
        """As the tower does: convolutions in pairs where a pair fits a CPU's lanes."""
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            output: Tensor = self.block(self.features)
        return output

    def buffered(self) -> Tensor:
        """One buffer for all features; each convolution reads a slice of it."""
        images, _, *side = self.features.shape
        total = self.width + 4 * self.growth
        buffer = nhwc(self.features.new_empty(images, total, *side))
        buffer[:, : self.width] = self.features
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            start = kernel.shape[1]
            made = F.conv2d(buffer[:, :start], kernel, bias, padding=1)
            buffer[:, start : start + self.growth] = activate(made)
        return self._residual(F.conv2d(buffer, self.kernels[-1], self.biases[-1], padding=1))

    def fused(self) -> Tensor:
        """Concatenated, the activation inside the convolution (oneDNN)."""
        grown = self.features
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            grown = torch.cat((grown, self._activated(grown, kernel, bias)), dim=1)
        return self._residual(F.conv2d(grown, self.kernels[-1], self.biases[-1], padding=1))

    def summed(self) -> Tensor:
        """Every feature is convolved once, for all later convolutions, whose sums it enters."""
        sums = F.conv2d(self.features, self.by_source[0], torch.cat(self.biases), padding=1)
        for kernel in self.by_source[1:]:
            feature, rest = (nhwc(part) for part in sums.tensor_split([self.growth], dim=1))
            sums = rest + F.conv2d(activate(feature), kernel, padding=1)
        return self._residual(sums)

    def compiled(self) -> Tensor:
        """Concatenated, compiled by torch (which needs a C++ compiler)."""
        output: Tensor = self._compiled(self.features, self.kernels, self.biases)
        return output

    def convolutions_alone(self) -> None:
        """The five convolutions, of inputs that are there."""
        for grown, kernel, bias in zip(self.grown, self.kernels, self.biases, strict=True):
            F.conv2d(grown, kernel, bias, padding=1)

    def _activated(self, features: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        ones = [1, 1]
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            features, kernel, bias, ones, ones, ones, 1, "leaky_relu", [SLOPE], ""
        )
        return output

    def _residual(self, last: Tensor) -> Tensor:
        return residual(self.features, last)


def ratios(ways: Ways, repeats: int) -> tuple[float, list[float]]:
    """Milliseconds of the first way, and every other way's time over it."""
    with torch.no_grad(), materialised(ways.block):
        expected = ways.concatenated().float()
        others: list[Callable[[], Tensor]] = [
            ways.as_the_tower,
            ways.buffered,
            ways.fused,
            ways.summed,
            ways.compiled,
        ]
        for way in others:
            # The error of bf16 is a few per thousand of the largest value.
            error = (way().float() - expected).abs().max() / expected.abs().max()
            assert error < (1e-4 if ways.dtype == torch.float32 else 3e-2), error
        first, *more = interleaved((ways.concatenated, *others, ways.convolutions_alone), repeats)
    return first * 1e3, [seconds / first for seconds in more]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    prepare_process()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine() + "\n")
    print("| block | | concatenated, ms | tower | buffer | fused | sums | compiled | alone |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        for dtype in (torch.float32, torch.bfloat16):
            milliseconds, others = ratios(Ways(*size, dtype), repeats)
            cells = " | ".join(f"{ratio:.2f}" for ratio in others)
            print(f"| {size} | {str(dtype)[6:]} | {milliseconds:.1f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
