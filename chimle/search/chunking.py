"""How many candidates a search compares at once, so that it stays within a memory budget.

Counted on meta tensors (`chimle.search.peak_memory`), once per run: a function of the settings
alone, so that a run repeats exactly on another machine.
"""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from chimle.perceptual.distance import Distance, Features
from chimle.search.codes import CodeShape
from chimle.search.peak_memory import peak_bytes
from chimle.tower.blocks import materialised
from chimle.tower.generator import LevelCode, Tower, TowerState

_FEW = (2, 3)
"""Numbers of candidates whose footprints are counted; more grow by the same bytes each."""


def _codes(shape: CodeShape, count: int) -> LevelCode:
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
        distance: what candidates are compared by.
        conditioning: of one image or more, as `Tower.begin` takes it; only its shapes matter.
        memory: bytes that all candidates at once may hold. Where not even one fits, one is
            compared at a time.
    """
    with torch.device("meta"), torch.no_grad():
        paper = copy.deepcopy(tower).to("meta").eval()
        measured = copy.deepcopy(distance).to("meta")
        state = paper.begin([torch.empty(1, *tensor.shape[1:]) for tensor in conditioning])
        chunks = []
        for level, shape in enumerate(tower.code_shapes_for(conditioning)):
            image, following = paper.step(level, state, _codes(shape, 1))
            target = measured.features(image)

            def compared(
                count: int,
                level: int = level,
                state: TowerState = state,
                shape: CodeShape = shape,
                target: Features = target,
            ) -> None:
                with materialised(paper):
                    images, _kept = paper.step(level, state, _codes(shape, count))
                measured.distance(images, target)

            used = [peak_bytes(partial(compared, count)) for count in _FEW]
            chunks.append(_largest(used, memory))
            state = following
    return tuple(chunks)
