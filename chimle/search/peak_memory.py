"""How many bytes a computation holds at once, counted without computing anything.

On meta tensors an operation allocates nothing, and the sizes of what it makes are known. Whatever
the device, the count is the same, so what is decided by it is a function of the settings alone.
Work space that an operation takes and gives back inside itself is not counted.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _storages(values: Any) -> list[torch.UntypedStorage]:
    """The storages of all tensors in nested containers."""
    leaves = tree_leaves(values)
    return [leaf.untyped_storage() for leaf in leaves if isinstance(leaf, torch.Tensor)]


class _AllocationTracker(TorchDispatchMode):
    """Adds up the storages that are alive, and keeps the highest sum."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # What was there before does not count, nor what is made of it without a copy.
        self._known.update(_storages((args, kwargs)))
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            if storage not in self._known:
                self._enter(storage)
        return made

    def _enter(self, storage: torch.UntypedStorage) -> None:
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._leave, size)

    def _leave(self, size: int) -> None:
        self.now -= size


def peak_bytes(compute: Callable[[], object]) -> int:
    """The most bytes that the tensors hold at once which `compute` makes on the meta device."""
    with _AllocationTracker() as tracker, torch.no_grad():
        compute()
    return int(tracker.most)
