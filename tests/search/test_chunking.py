"""Peak memory counted on meta tensors, and the chunks planned from it."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from chimle.baselines.known_modes.mode_problem import PixelDistance
from chimle.perceptual import normalised_distance
from chimle.perceptual.lpips import Perceptual
from chimle.search.chunking import compare_some, plan_chunks
from chimle.search.peak_memory import peak_bytes
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.blocks import materialised
from chimle.tower.generator import LevelCode, Tower

MIB = 2**20


def meta_tensor(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def test_peak_counts_only_new_tensors_that_exist_together() -> None:
    existing = meta_tensor(2**18)  # One MiB, allocated before.
    assert peak_bytes(lambda: existing + 1) == MIB
    assert peak_bytes(lambda: existing.view(2, -1)) == 0
    assert peak_bytes(lambda: (existing + 1) + 1) == 2 * MIB
    assert peak_bytes(lambda: ((existing + 1) + 1) + 1) == 2 * MIB
    assert peak_bytes(lambda: (existing + 1).relu_()) == MIB


def test_peak_of_a_convolution_of_known_size() -> None:
    layer = nn.Conv2d(4, 8, 3, padding=1, device="meta")
    assert peak_bytes(lambda: layer(meta_tensor(1, 4, 16, 16))) == (4 + 8) * 16 * 16 * 4


@pytest.mark.parametrize("wiring", list(Wiring))
def test_more_memory_allows_more_candidates_and_finer_levels_fewer(wiring: Wiring) -> None:
    tower = Tower(
        TowerSettings(resolution=32, widths=(8, 8), growth=(4, 4), mapping_width=8), wiring
    )
    channels = 1 if wiring is Wiring.COLOURIZATION else 3
    sizes = (8,) if wiring is Wiring.SUPER_RESOLUTION else (16, 32)
    conditioning = [torch.zeros(1, channels, size, size) for size in sizes]

    def plan(memory: int) -> tuple[int, ...]:
        return plan_chunks(tower, PixelDistance(), conditioning, memory)

    small, large = plan(4 * MIB), plan(8 * MIB)
    assert all(1 <= few < many for few, many in zip(small, large, strict=True))
    assert small[0] > small[1]
    assert plan(1) == (1, 1)
    assert next(tower.parameters()).device.type == "cpu"


DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    ),
]
PRECISIONS = [torch.float32, torch.bfloat16]


TOLERANCE = 0.02
"""Largest relative excess of measured over planned bytes."""


def allocated(run: Callable[[], object], device: str) -> int:
    """Bytes that a computation holds at most, counted on the CPU, by the allocator on CUDA."""
    if device == "cpu":
        return peak_bytes(run)
    run()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", PRECISIONS, ids=["fp32", "bf16"])
@pytest.mark.parametrize("wiring", list(Wiring))
@torch.no_grad()
def test_the_planned_candidates_take_the_memory_that_was_given(
    wiring: Wiring,
    dtype: torch.dtype,
    device: str,
    perceptual: Perceptual,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Computed for real at every level, the planned chunk fits, and a quarter more does not.

    Planned is what every device can do: all of a layer's activations are compared at once.
    """
    monkeypatch.setattr(normalised_distance, "CACHED", 2**62)
    budget = 12 * MIB
    sizes = TowerSettings(resolution=64, widths=(16, 16), growth=(16, 16), mapping_width=8)
    tower = Tower(sizes, wiring).to(device)
    distance = copy.deepcopy(perceptual).to(device)
    channels = 1 if wiring is Wiring.COLOURIZATION else 3
    sides = (16,) if wiring is Wiring.SUPER_RESOLUTION else (32, 64)
    conditioning = [torch.rand(1, channels, side, side, device=device) for side in sides]
    chunks = plan_chunks(tower, distance, conditioning, budget, dtype)
    state = tower.begin(conditioning)
    low = dtype is torch.bfloat16
    for level, shape in enumerate(tower.code_shapes_for(conditioning)):
        with (
            torch.autocast(device, torch.bfloat16, enabled=low, cache_enabled=False),
            materialised(tower),
            torch.device(device),
        ):
            style, *noise = shape
            code = LevelCode(torch.randn(1, style), torch.randn(1, *noise))
            image, following = tower.step(level, state, code)
            target = distance.features(image)

            run = partial(compare_some, tower, distance, level, state, target, shape)
            counts = (chunks[level], chunks[level] + chunks[level] // 4 + 1)
            planned, more = (allocated(partial(run, count), device) for count in counts)
        assert planned < (1 + TOLERANCE) * budget < more
        state = following
