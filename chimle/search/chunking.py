"""How many candidates a search compares at once, so that it stays within a memory budget.

Counted on meta tensors (`chimle.search.peak_memory`), once per run: a function of the settings
alone, so that a run repeats exactly on another machine.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from chimle.perceptual.distance import Distance, Features
from chimle.search.codes import CodeShape
from chimle.search.peak_memory import peak_bytes
from chimle.tower.blocks import materialised
from chimle.tower.generator import LevelCode, Tower
from chimle.tower.state import TowerState

_FEW = (2, 3)
"""Numbers of candidates whose peaks are counted first."""
_CAST = frozenset((torch.conv2d, F.conv2d, F.linear))
"""What autocast computes in its own arithmetic here; all else keeps the numbers' own."""


class _Autocast(TorchFunctionMode):
    """What autocast does, on the meta device, which has none."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in _CAST:
            args = [a.to(self.dtype) if isinstance(a, Tensor) else a for a in args]
        return func(*args, **(kwargs or {}))


def _codes(shape: CodeShape, count: int) -> LevelCode:
    style, *noise = shape
    return LevelCode(torch.empty(count, style), torch.empty(count, *noise))


def _largest(peak: Callable[[int], int], memory: int) -> int:
    """The number of candidates that fits, given the peak in bytes of any number of them.

    The peak is the largest of several stages', each linear in the number: counted at few, it grows
    too slowly. Where the number that follows does not fit, the chord between both is above it.
    """
    few, more = map(peak, _FEW)
    fitting = _FEW[0] + (memory - few) // max(1, more - few)
    if fitting > _FEW[1] and (reached := peak(fitting)) > memory:
        fitting = _FEW[0] + (memory - few) * (fitting - _FEW[0]) // (reached - few)
    return max(1, fitting)


def _peak(run: Callable[[int], None], count: int) -> int:
    return peak_bytes(partial(run, count))


def compare_some(
    tower: Tower,
    distance: Distance,
    level: int,
    state: TowerState,
    target: Features,
    shape: CodeShape,
    count: int,
) -> None:
    """Compare `count` candidates of one image's prefix with its target, all at once."""
    images, _kept = tower.step(level, state, _codes(shape, count))
    distance.distance(images, target)


def plan_chunks(
    tower: Tower,
    distance: Distance,
    conditioning: Sequence[Tensor],
    memory: int,
    dtype: torch.dtype = torch.float32,
) -> tuple[int, ...]:
    """Candidates at once per level.

    Args:
        tower: the generator.
        distance: what candidates are compared by.
        conditioning: of one image or more, as `Tower.begin` takes it; only its shapes matter.
        memory: bytes that all candidates at once may hold. Where not even one fits, one is
            compared at a time.
        dtype: arithmetic of convolutions and linear layers.
    """
    with torch.device("meta"), torch.no_grad(), _Autocast(dtype):
        meta_tower = copy.deepcopy(tower).to("meta").eval()
        meta_distance = copy.deepcopy(distance).to("meta")
        state = meta_tower.begin([torch.empty(1, *tensor.shape[1:]) for tensor in conditioning])
        chunks = []
        for level, shape in enumerate(tower.code_shapes_for(conditioning)):
            with materialised(meta_tower):
                # Makes the level's kernels, which are no candidate's memory.
                image, following = meta_tower.step(level, state, _codes(shape, 1))
                target = meta_distance.features(image)
                run = partial(compare_some, meta_tower, meta_distance, level, state, target, shape)
                chunks.append(_largest(partial(_peak, run), memory))
            state = following
    return tuple(chunks)
