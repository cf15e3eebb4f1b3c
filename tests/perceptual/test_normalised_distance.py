"""The distance in one layer: its value, its gradient, and pieces."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chimle.perceptual import normalised_distance as module
from chimle.perceptual.normalised_distance import EPSILON, normalised, normalised_distance


def reference(activation: torch.Tensor, root: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The formula, left to autograd; row i is compared with row i // K."""
    norm = torch.linalg.vector_norm(activation, dim=1, keepdim=True)
    each = len(activation) // len(target)
    difference = activation / (norm + EPSILON) * root - target.repeat_interleave(each, dim=0)
    distance: torch.Tensor = difference.square().sum(dim=1).mean(dim=(1, 2))
    return distance


def inputs(
    targets: int, each: int, channels: int, side: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Activations with dead positions, roots with zeros, and targets."""
    torch.manual_seed(targets + 10 * each + 100 * channels)
    activation = torch.randn(targets * each, channels, side, side + 1).relu()
    activation[:, :, 0, 0] = 0
    root = torch.rand(1, channels, 1, 1)
    root[:, 0] = 0
    return activation, root, normalised(torch.randn(targets, channels, side, side + 1).relu(), root)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.sampled_from([1, 50, 2**18]))
def test_equals_the_formula_whatever_the_pieces(
    targets: int, each: int, channels: int, cached: int
) -> None:
    activation, root, target = inputs(targets, each, channels, 3)
    upstream = torch.rand(targets * each)
    first, second = (activation.clone().requires_grad_() for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CACHED", cached)
        found = normalised_distance(first, root, target)
        (found * upstream).sum().backward()
        with torch.no_grad():
            assert torch.equal(normalised_distance(activation, root, target), found)
    expected = reference(second, root, target)
    (expected * upstream).sum().backward()
    assert first.grad is not None
    assert second.grad is not None
    torch.testing.assert_close(found, expected)
    # Where a position is dead, its gradient has a factor of 1 / EPSILON.
    torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-5)


def test_an_image_has_no_distance_from_itself() -> None:
    activation, root, _ = inputs(3, 1, 4, 3)
    assert not normalised_distance(activation, root, normalised(activation, root)).any()


@pytest.mark.parametrize("images", [1, 7])
def test_a_distance_does_not_depend_on_the_other_images(images: int) -> None:
    activation, root, target = inputs(7, 1, 64, 31)
    together = normalised_distance(activation, root, target)[:images]
    alone = normalised_distance(activation[:images], root, target[:images])
    assert torch.equal(together, alone)


def test_in_bf16_the_gradient_is_rounded_once_more() -> None:
    activation, root, target = inputs(2, 2, 8, 5)
    low = activation.bfloat16().requires_grad_()
    exact = low.detach().float().requires_grad_()
    for values in (low, exact):
        normalised_distance(values, root, target).sum().backward()
    assert low.grad is not None
    assert exact.grad is not None
    assert low.grad.dtype == torch.bfloat16
    torch.testing.assert_close(low.grad.float(), exact.grad, rtol=1e-2, atol=1e-6)
