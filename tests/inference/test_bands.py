"""Bands of rows cover a map, and their statistics are those of the whole."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chimle.inference.bands import band_borders, moments_of_parts


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 999), st.integers(0, 20))
def test_borders_cover_every_row_once(height: int, width: int, channels: int, reach: int) -> None:
    borders = band_borders(height, width, channels, max(reach, 1), 2**24)
    assert borders[0] == 0
    assert borders[-1] == height
    assert all(a < b for a, b in pairwise(borders))


@pytest.mark.parametrize("height", [1, 256, 700])
@pytest.mark.parametrize("offset", [0.0, 30.0, 1000.0])
def test_moments_of_parts_are_those_of_the_whole(height: int, offset: float) -> None:
    """In fp32: means of parts that differ more than their values do, far from zero."""
    generator = torch.Generator().manual_seed(height)
    values = torch.randn(2, 3, height, 40, generator=generator) + offset
    values += 5 * torch.linspace(0, 1, height)[:, None]
    found = moments_of_parts(values.split(256, dim=2))
    exact = torch.var_mean(values.double(), dim=(2, 3), keepdim=True, correction=0)
    for mine, theirs in zip(found, exact, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-6 * (1 + offset))
