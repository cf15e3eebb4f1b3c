"""Banded evaluation equals one pass over the whole image, at any size."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from chimle.images.pyramid import to_uint8
from chimle.inference import banded
from chimle.inference.banded import BandedTower
from chimle.inference.sample_names import Codes, Name, mixture_of
from chimle.search.codes import CodeStream, code_keys, draw
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower

NAMES = [Name((1, 1, 1)), Name((1, 2, 5))]


def build(wiring: Wiring) -> Tower:
    torch.manual_seed(0)
    sizes = TowerSettings(
        resolution=32,
        widths=(12, 10, 8),
        growth=(4, 4, 4),
        blocks=2,
        style_size=8,
        mapping_width=16,
        mapping_depth=3,
    )
    return Tower(sizes, wiring).eval()


def some_inputs(wiring: Wiring, height: int, width: int) -> list[Tensor]:
    """Conditioning images of one size."""
    generator = torch.Generator().manual_seed(1)
    channels = 1 if wiring is Wiring.COLOURIZATION else 3
    shifts = (0,) if wiring is Wiring.SUPER_RESOLUTION else (2, 1, 0)
    return [torch.rand((1, channels, height >> s, width >> s), generator=generator) for s in shifts]


def codes_of(tower: Tower, inputs: list[Tensor]) -> Codes:
    """Codes of the samples `NAMES`."""
    shapes = tower.code_shapes_for(inputs)
    return Codes([mixture_of(n) for n in NAMES], shapes, 99, 0, torch.device("cpu"))


def whole_and_banded(
    wiring: Wiring, height: int, width: int, equaliser: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images of one forward pass and of the banded evaluation, for inputs of one size."""
    tower, inputs = build(wiring), some_inputs(wiring, height, width)
    tower.equaliser = equaliser
    codes = codes_of(tower, inputs)
    plain = [
        draw(shape, [99], torch.tensor([[n.numbers[level] for n in NAMES]]), level=level, seed=0,
             purpose="sample")
        for level, shape in enumerate(codes.shapes)
    ]  # fmt: skip
    with torch.no_grad():
        whole = to_uint8(tower(inputs, plain)[-1])
    return whole, BandedTower(tower, inputs, codes).images()


@pytest.mark.parametrize("wiring", list(Wiring))
@pytest.mark.parametrize("size", [(4, 8), (176, 12), (252, 8)])
def test_many_bands_equal_one_pass(
    monkeypatch: pytest.MonkeyPatch, wiring: Wiring, size: tuple[int, int]
) -> None:
    monkeypatch.setitem(banded.BAND_BYTES, "cpu", 1)
    whole, in_bands = whole_and_banded(wiring, *size)
    assert in_bands.shape == whole.shape
    # A value half way between two steps may be rounded either way.
    assert np.abs(in_bands.astype(int) - whole).max() <= 1
    assert (in_bands != whole).mean() < 1e-3


@pytest.mark.parametrize("level", [None, 0, 1, 2])
@pytest.mark.parametrize("wiring", list(Wiring))
def test_what_is_no_number_at_any_level_is_noticed_once(
    monkeypatch: pytest.MonkeyPatch, wiring: Wiring, level: int | None
) -> None:
    monkeypatch.setitem(banded.BAND_BYTES, "cpu", 1)
    tower, inputs, looked = build(wiring), some_inputs(wiring, 96, 8), 0
    if level is not None:
        tower.level(level).body.last.bias.data[0] = torch.nan
    isfinite = Tensor.isfinite

    def counted(values: Tensor) -> Tensor:
        nonlocal looked
        looked += values.numel()
        return isfinite(values)

    monkeypatch.setattr(Tensor, "isfinite", counted)
    drawing = BandedTower(tower, inputs, codes_of(tower, inputs))
    images = drawing.images()
    assert bool(drawing.finite) is (level is None)
    channels = 2 if wiring is Wiring.COLOURIZATION else 3
    assert images[..., 0].size * channels <= looked < 1.4 * images[..., 0].size * channels


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.data())
def test_rows_of_noise_are_rows_of_the_code(
    style: int, channels: int, height: int, width: int, data: st.DataObject
) -> None:
    top = data.draw(st.integers(0, height - 1))
    bottom = data.draw(st.integers(top + 1, height))
    index = torch.tensor([[4, 7]])
    shape = (style, channels, height, width)
    code = draw(shape, [5], index, level=1, seed=3, purpose="sample")
    stream = CodeStream(code_keys([5], 2, seed=3, purpose="sample")[:, 1], index)
    assert torch.equal(stream.noise_rows(shape, top, bottom), code.noise[:, :, top:bottom])
    assert torch.equal(stream.normals(0, style), code.style)


class NoDoubles(TorchDispatchMode):
    """Refuses fp64, as Apple's GPUs do."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        found = [t for t in tree_leaves(made) if isinstance(t, Tensor)]
        assert all(t.dtype != torch.float64 for t in found), func
        return made


@pytest.mark.parametrize("wiring", list(Wiring))
def test_an_image_is_drawn_without_fp64(wiring: Wiring) -> None:
    # What is computed once is computed in fp64, on the host.
    wanted = whole_and_banded(wiring, 8, 8)[1]
    with NoDoubles():  # type: ignore[no-untyped-call]
        assert np.array_equal(whole_and_banded(wiring, 8, 8)[1], wanted)


@pytest.mark.parametrize("wiring", [Wiring.GENERIC, Wiring.SUPER_RESOLUTION])
@pytest.mark.parametrize("size", [(4, 8), (60, 20), (252, 8)])
def test_bands_are_filtered_as_the_whole_is(
    monkeypatch: pytest.MonkeyPatch, wiring: Wiring, size: tuple[int, int]
) -> None:
    """Rows near a band's border are filtered with the rows beyond it."""
    monkeypatch.setattr(banded, "FINISH_ROWS", 24)
    whole, in_bands = whole_and_banded(wiring, *size)
    kernel = torch.rand(15, 15, generator=torch.Generator().manual_seed(2)) - 0.4
    kernel = kernel + kernel.flip(0, 1)
    filtered, filtered_in_bands = whole_and_banded(wiring, *size, kernel / kernel.sum())
    assert np.abs(filtered.astype(int) - filtered_in_bands).max() <= 1
    assert in_bands.shape == filtered_in_bands.shape
    assert np.abs(whole.astype(int) - filtered).max() > 5
