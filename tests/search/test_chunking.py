"""Peak memory counted on meta tensors, and the chunks planned from it."""

import pytest
import torch
from torch import nn

from chimle.baselines.known_modes.mode_problem import PixelDistance
from chimle.search.chunking import plan_chunks
from chimle.search.peak_memory import peak_bytes
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower

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
