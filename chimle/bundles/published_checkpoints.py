"""Import of published checkpoints; the tower's sizes follow from the weights' shapes."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from chimle.errors import UserError
from chimle.io.tensor_files import read_tensors
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.settings.tower import MOST_LEVELS, SMALLEST_RESOLUTION
from chimle.tasks import Wiring, get_task
from chimle.tower.generator import Tower
from chimle.tower.published_names import load_published, our_name

_OUT = "level_1_out.0.weight_v"


def _generator_state(content: Any) -> dict[str, Tensor] | None:
    """The first mapping of published parameters in a checkpoint, without a wrapper's prefix."""
    pending, seen = [content], set[int]()
    while pending:
        inner = pending.pop()
        if not isinstance(inner, Mapping) or id(inner) in seen:
            continue
        if found := _published(inner):
            return found
        seen.add(id(inner))  # A file may hold a mapping that holds itself.
        pending += reversed(list(inner.values()))
    return None


def _published(content: Mapping[Any, Any]) -> dict[str, Tensor] | None:
    """Published parameters of a mapping, without a wrapper's prefix; None: it holds others."""
    prefixes = ("", "module.", "netG.", "netG.module.", "generator.")
    for prefix in prefixes:
        found = {
            str(name).removeprefix(prefix): value
            for name, value in content.items()
            if isinstance(value, Tensor) and str(name).startswith(f"{prefix}level_")
        }
        if found and all(our_name(name) for name in found):
            return found
    return None


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The generator's parameters from a bare state dict or a training state.

    Raises:
        UserError: the file is missing, damaged, would run code, or holds no published generator.
    """
    state = _generator_state(read_tensors(path, "save the generator's state dict alone"))
    if state is None:
        raise UserError(f"{path} holds no published generator: no parameters `level_1_...` in it")
    return state


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """Number of different values of the pattern's group among the names."""
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def _rows(state: Mapping[str, Tensor], name: str, axis: int = 0) -> int:
    if name not in state:
        raise UserError(f"the checkpoint lacks `{name}`: it is no whole published generator")
    shape = state[name].shape
    if len(shape) <= axis:
        raise UserError(f"the checkpoint's `{name}` has {len(shape)} axes: it is no published one")
    return shape[axis]


def draws_chroma(state: Mapping[str, Tensor]) -> bool:
    """Whether a published generator draws colours alone; `UserError` where it is not whole."""
    return _rows(state, _OUT) == 2


def _check_resolution(resolution: int, levels: int) -> None:
    """`UserError` unless the side of a finest image is at least so large and halved per level."""
    if resolution < SMALLEST_RESOLUTION or resolution % 2**levels:
        raise UserError(
            f"`--resolution` {resolution}: this generator has {levels} levels: give a multiple of "
            f"{2**levels}, at least {SMALLEST_RESOLUTION}"
        )


def infer_settings(state: Mapping[str, Tensor], task: str, resolution: int) -> ModelSettings:
    """The sizes of a published generator.

    Raises:
        UserError: parameters are missing, the weights are those of another task, or its levels do
            not divide `resolution`.
    """
    definition = get_task(task)
    levels = range(1, _count(state, r"level_(\d+)_") + 1)
    channels = _rows(state, _OUT)
    expected = 2 if definition.wiring is Wiring.COLOURIZATION else 3
    if channels != expected:
        raise UserError(
            f"these weights draw {channels} channels, task {task} takes {expected}: "
            "name the task they were trained for"
        )
    if len(levels) <= MOST_LEVELS:  # Else that is the fault, and validation finds it.
        _check_resolution(resolution, len(levels))
    conditioning = definition.conditioning_channels
    tower = {
        "resolution": resolution,
        "widths": [_rows(state, f"level_{i}_feat.0.weight_v") for i in levels],
        "growth": [_rows(state, f"level_{i}_style.sub.0.RDB1.conv1.0.weight_v") for i in levels],
        "blocks": _count(state, r"level_1_style\.sub\.(\d+)\."),
        "style_size": _rows(state, "level_1_map_0.0.weight", axis=1),
        "noise_channels": _rows(state, "level_1_feat.0.weight_v", axis=1) - conditioning,
        "mapping_width": _rows(state, "level_1_map_0.0.weight"),
        "mapping_depth": _count(state, r"level_1_map\.(\d+)\.weight") + 1,
        "initialisation": "published",
    }
    values = {
        "task": task,
        "preset": "published",
        "tower": tower,
        "search": {"candidates": [1] * len(levels)},
    }
    return build_settings(ModelSettings, values, "the checkpoint's shapes")


def import_checkpoint(path: Path, task: str, resolution: int) -> tuple[Tower, ModelSettings]:
    """A published generator as a tower with its settings.

    Raises:
        UserError: see `read_checkpoint` and `infer_settings`; or a parameter does not fit.
    """
    state = read_checkpoint(path)
    settings = infer_settings(state, task, resolution)
    tower = Tower(settings.tower, settings.definition.wiring)
    load_published(tower, state)
    return tower.eval().requires_grad_(False), settings


def import_origin(path: Path) -> dict[str, str]:
    """The provenance of an imported bundle: name and SHA-256 of the checkpoint."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"imported_from": path.name, "imported_sha256": digest}
