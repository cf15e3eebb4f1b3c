"""The blocks equal their published formulas, however they are computed."""

import sys
from types import FrameType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from benchmarks.reference import dense_block
from chimle.device import nhwc
from chimle.tower.blocks import (
    Convolution,
    DenseBlock,
    StyleModulation,
    join,
    materialised,
    spatial_moments,
)


@pytest.mark.parametrize("growth", [1, 4, 8, 12, 16, 20, 24])
def test_a_dense_block_equals_the_published_one(growth: int) -> None:
    torch.manual_seed(growth)
    block = DenseBlock(6, growth)
    features = torch.randn(3, 6, 5, 7)
    mine, theirs = (nhwc(features).clone().requires_grad_() for _ in range(2))
    upstream = torch.randn(3, 6, 5, 7)
    gradients = []
    for values, run in ((mine, block), (theirs, lambda x: dense_block(block, x))):
        block.zero_grad(set_to_none=True)
        output = run(values)
        output.backward(upstream)
        assert values.grad is not None
        gradients.append([output.detach(), values.grad, *(p.grad for p in block.parameters())])
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("growth", [8, 16])
@torch.no_grad()
def test_kept_kernels_change_no_bit(growth: int) -> None:
    torch.manual_seed(0)
    block, features = DenseBlock(16, growth), nhwc(torch.randn(2, 16, 9, 9))
    with materialised(block):
        assert torch.equal(block(features), block(features))
        kept = block(features)
    assert torch.equal(kept, block(features))


@pytest.mark.parametrize("line", range(1, 7))
@torch.no_grad()
def test_another_thread_may_end_its_block_at_any_line_of_a_kernel(line: int) -> None:
    convolution = Convolution(1, 1)
    expected, seen = convolution.kernel(), 0
    other = materialised(convolution)
    other.__enter__()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal seen
        if frame.f_code is not Convolution.kernel.__code__:
            return None
        seen += event == "line"
        if event == "line" and seen == line:
            other.__exit__(None, None, None)
        return trace

    with materialised(convolution):
        convolution.kernel()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            found = convolution.kernel()
        finally:
            sys.settrace(before)
    assert torch.equal(found, expected)


@torch.no_grad()
def test_no_kernel_outlives_blocks_that_end_in_any_order() -> None:
    convolution = Convolution(1, 1)
    first, second = materialised(convolution), materialised(convolution)
    first.__enter__()
    second.__enter__()
    kernel = convolution.kernel()
    first.__exit__(None, None, None)
    assert convolution.kernel() is kernel
    second.__exit__(None, None, None)
    assert torch.equal(convolution.kernel(), kernel)
    convolution.weight_g.mul_(2)
    torch.testing.assert_close(convolution.kernel(), 2 * kernel)


def test_joined_parts_have_the_gradients_of_their_channels() -> None:
    parts = [torch.randn(2, channels, 3, 3, requires_grad=True) for channels in (1, 4, 2)]
    upstream = torch.randn(2, 7, 3, 3)
    join(*parts).backward(upstream)
    for part, expected in zip(parts, upstream.split([1, 4, 2], dim=1), strict=True):
        assert part.grad is not None
        assert torch.equal(part.grad, expected)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_moments_are_those_of_every_image_and_channel(offset: float) -> None:
    torch.manual_seed(0)
    features = nhwc(torch.randn(3, 5, 40, 30) + offset)
    expected = torch.var_mean(features.double(), dim=(2, 3), keepdim=True, correction=0)
    for found, exact in zip(spatial_moments(features), expected, strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-5)


def test_style_modulation_equals_instance_normalisation() -> None:
    torch.manual_seed(0)
    modulation = StyleModulation(4, 6)
    features, style = nhwc(torch.randn(2, 6, 8, 9)), torch.randn(2, 4)
    scale, shift = modulation.affine(style)[..., None, None].chunk(2, dim=1)
    expected = (1 + scale) * F.instance_norm(features) + shift
    torch.testing.assert_close(modulation(features, style), expected)
