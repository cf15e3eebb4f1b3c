"""Import torchvision beside a torch that was built without its compiled operators.

A registry's torchvision may be built for CUDA while torch is a CPU build; importing it then fails
because the operator `torchvision::nms` was never registered. Declaring the two operators by their
schemas is enough for models, transforms and `lpips`. Beside a matching torch this does nothing.
"""

import importlib
import sys

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library: torch.library.Library | None = None
"""Kept alive: its declarations end with it."""


def import_torchvision() -> None:
    """Make `import torchvision` work from here on; other import errors pass through."""
    global _library
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            _library.define(operator + _SCHEMA)
        importlib.import_module("torchvision")
