"""Weights that a training starts from instead of an initialisation (`train.start`): fine-tuning."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from chimle.bundles.bundle import Bundle, load_bundle
from chimle.bundles.task_models import PRETRAINED, pretrained_tasks
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings

SCRATCH = "scratch"
PACKAGED = "pretrained"
SHAPING = (
    "widths",
    "growth",
    "blocks",
    "style_size",
    "noise_channels",
    "mapping_width",
    "mapping_depth",
)
"""Fields of `TowerSettings` that determine the weights' names and shapes."""


@dataclass(frozen=True)
class StartWeights:
    """Weights of another model, by the tower's names, fp32, and the SHA-256 of their content."""

    state: Mapping[str, Tensor]
    sha256: str


def start_address(start: str, task: str, root: Path = Path()) -> Path | None:
    """The bundle that `train.start` names; None: training starts from scratch.

    Raises:
        UserError: the task has no pretrained model.
    """
    if start == SCRATCH:
        return None
    if start != PACKAGED:
        return root / start
    if task not in pretrained_tasks():
        raise UserError(f"`train.start`: there is no pretrained model for {task}: use {SCRATCH}")
    return PRETRAINED / f"{task}.zip"


def load_start(settings: ModelSettings, root: Path = Path()) -> StartWeights | None:
    """The weights that a training of these settings starts from; None: from scratch.

    Args:
        settings: of the training.
        root: directory that a relative `train.start` begins at.

    Raises:
        UserError: there is no such bundle, or its tower has other sizes than the settings'.
    """
    address = start_address(settings.train.start, settings.task, root)
    if address is None:
        return None
    bundle = load_bundle(address)
    _check(bundle, settings, address)
    state = bundle.tower.state_dict()
    content = hashlib.sha256()
    for name, value in sorted(state.items()):
        content.update(name.encode() + value.numpy().tobytes())
    return StartWeights(state, content.hexdigest())


def _check(bundle: Bundle, settings: ModelSettings, address: Path) -> None:
    """`UserError` where a bundle's weights are not those of the settings' tower."""
    theirs, own = bundle.settings, settings
    if theirs.definition.wiring != own.definition.wiring:
        raise UserError(
            f"`train.start`: {address} is a model for {theirs.task}, whose tower is wired "
            f"otherwise than that for {own.task}"
        )
    for name in SHAPING:
        found, wanted = getattr(theirs.tower, name), getattr(own.tower, name)
        if found != wanted:
            raise UserError(
                f"`train.start`: {address} has `tower.{name}` {_plain(found)}, these settings have "
                f"{_plain(wanted)}: give the tower the bundle's sizes, or start from {SCRATCH}"
            )


def _plain(value: object) -> str:
    """A setting as a YAML file writes it."""
    return str(list(value)) if isinstance(value, tuple) else str(value)
