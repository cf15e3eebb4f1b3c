"""How many candidates a search judges at once, so that it stays within a memory budget.

Counted on meta tensors (`chimle.search.peak_memory`), once per run: a function of the settings
alone, so that a run repeats exactly on another machine.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from chimle.perceptual.lpips import Distance
from chimle.search.peak_memory import peak_bytes
from chimle.tower.generator import LevelCode, Tower, TowerState

_FEW = (2, 3)
"""Numbers of candidates whose footprints are counted; more grow by the same bytes each."""


def _codes(shape: tuple[int, int, int, int], count: int) -> LevelCode:
    style, *noise = shape
    return LevelCode(torch.empty(count, style), torch.empty(count, *noise))


def _largest(used: Sequence[int], memory: int) -> int:
    """The number of candidates that fits, given the bytes that `_FEW` use."""
    each = max(1, used[1] - used[0])
    fixed = used[0] - _FEW[0] * each
    return max(1, (memory - fixed) // each)


def plan_chunks(
    tower: Tower, distance: Distance, conditioning: Sequence[Tensor], memory: int
) -> tuple[int, ...]:
    """Candidates at once per level.

    Args:
        tower: the generator.
        distance: what candidates are judged by.
        conditioning: of one image or more, as `Tower.begin` takes it; only its shapes matter.
        memory: bytes that all candidates at once may hold. One candidate is judged at a time where
            not even that fits.
    """
    with torch.device("meta"), torch.no_grad(), parametrize.cached():
        paper = copy.deepcopy(tower).to("meta").eval()
        judge = copy.deepcopy(distance).to("meta")
        state = paper.begin([torch.empty(1, *tensor.shape[1:]) for tensor in conditioning])
        chunks = []
        for level, shape in enumerate(tower.code_shapes_for(conditioning)):
            image, following = paper.step(level, state, _codes(shape, 1))
            target = judge.features(image)

            def judged(
                count: int,
                level: int = level,
                state: TowerState = state,
                shape: tuple[int, int, int, int] = shape,
                target: tuple[Tensor, ...] = target,
            ) -> None:
                pictures, _kept = paper.step(level, state, _codes(shape, count))
                judge.distance(pictures, target)

            used = [peak_bytes(lambda count=count: judged(count)) for count in _FEW]  # type: ignore[misc]
            chunks.append(_largest(used, memory))
            state = following
    return tuple(chunks)
