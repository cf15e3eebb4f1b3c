"""The filter of the finest images: a convolution, whatever the image's size."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chimle.search.codes import draw
from chimle.tasks import Wiring
from chimle.tower.consistency import agree_with_reduction, reduction_matrix
from chimle.tower.equaliser import equalised, equaliser_side, no_equaliser
from tests.search.test_hierarchical import batch_for, small_tower


def images(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.rand(count, 3, height, width, generator=generator)


def symmetric(side: int, seed: int = 0) -> Tensor:
    kernel = torch.randn(side, side, generator=torch.Generator().manual_seed(seed))
    return (kernel + kernel.flip(0, 1)) / side


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 15]))
@settings(max_examples=30, deadline=None)
def test_it_is_a_convolution_with_repeated_borders(height: int, width: int, side: int) -> None:
    kernel, given_ = symmetric(side), images(height, width)
    padded = F.pad(given_, (side // 2,) * 4, mode="replicate")
    wanted = F.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3)
    torch.testing.assert_close(equalised(given_, kernel), wanted, rtol=1e-4, atol=1e-4)


@given(st.integers(2, 60), st.data())
@settings(max_examples=30, deadline=None)
def test_rows_alone_are_rows_of_the_whole(height: int, data: st.DataObject) -> None:
    top = data.draw(st.integers(0, height - 1))
    bottom = data.draw(st.integers(top + 1, height))
    kernel, given_ = symmetric(15), images(height, 9)
    part = equalised(given_, kernel, (top, bottom))
    whole = equalised(given_, kernel)[..., top:bottom, :]
    torch.testing.assert_close(part, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("resolution", [8, 10, 14, 32, 36, 64, 128])
def test_no_filter_changes_nothing(resolution: int) -> None:
    kernel, given_ = no_equaliser(resolution), images(resolution, 5)
    assert kernel.shape == (equaliser_side(resolution),) * 2
    assert equaliser_side(resolution) % 2 == 1
    torch.testing.assert_close(equalised(given_, kernel), given_, rtol=0, atol=1e-5)


@torch.no_grad()
def test_finest_images_are_filtered_and_still_agree() -> None:
    tower = small_tower(Wiring.SUPER_RESOLUTION)
    batch = batch_for(tower, Wiring.SUPER_RESOLUTION)
    index = torch.zeros(len(batch), 1, dtype=torch.int64)
    codes = [
        draw(shape, batch.keys, index, level=level, seed=3)
        for level, shape in enumerate(tower.code_shapes())
    ]
    # Contrast low enough that no clamping is needed: the filter alone is looked at.
    inputs = [0.5 + (tensor - 0.5) / 8 for tensor in batch.conditioning]
    plain = tower(inputs, codes)
    kernel = symmetric(15)
    tower.equaliser = kernel / kernel.sum()
    filtered = tower(inputs, codes)
    for before, after in zip(plain[:-1], filtered[:-1], strict=True):
        assert torch.equal(before, after)
    assert (plain[-1] - filtered[-1]).abs().max() > 0.01
    down = reduction_matrix(32, 4).float()
    torch.testing.assert_close(down @ filtered[-1] @ down.T, inputs[0], rtol=0, atol=0.02)
    again = agree_with_reduction(filtered[-1], inputs[0])
    torch.testing.assert_close(again, filtered[-1], rtol=0, atol=0.03)
