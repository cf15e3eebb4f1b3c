"""Weights that a training starts from instead of an initialisation (`train.start`): fine-tuning."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from chimle.bundles.bundle import Bundle, load_bundle
from chimle.bundles.task_models import SCRATCH, start_address
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings

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


def load_start_bundle(start: str, task: str, root: Path = Path()) -> Bundle | None:
    """The bundle that `train.start` names; None: training starts from scratch.

    Args:
        start: value of `train.start`.
        task: name of the training's task.
        root: directory that a relative `start` begins at.

    Raises:
        UserError: there is no such bundle, or it is damaged.
    """
    address = start_address(start, task, root)
    return None if address is None else load_bundle(address)


def start_weights(bundle: Bundle, settings: ModelSettings) -> StartWeights:
    """A bundle's weights, for a training of these settings to start from.

    Raises:
        UserError: the bundle's tower has other sizes than the settings'.
    """
    _check(bundle, settings)
    # A finished model's codes got their strengths, and its filter was fitted, after its training.
    tower = copy.deepcopy(bundle.tower)
    tower.equaliser = None
    tower.scale_noise(1 / bundle.settings.train.noise_strength)
    tower.scale_styles(1 / bundle.settings.train.style_strength)
    state = tower.state_dict()
    content = hashlib.sha256()
    for name, value in sorted(state.items()):
        content.update(name.encode() + value.numpy().tobytes())
    return StartWeights(state, content.hexdigest())


def load_start(settings: ModelSettings, root: Path = Path()) -> StartWeights | None:
    """`start_weights` of the bundle that the settings name; None: training starts from scratch."""
    bundle = load_start_bundle(settings.train.start, settings.task, root)
    return None if bundle is None else start_weights(bundle, settings)


def _check(bundle: Bundle, settings: ModelSettings) -> None:
    """`UserError` where a bundle's weights are not those of the settings' tower."""
    theirs, own, named = bundle.settings, settings, settings.train.start
    if theirs.definition.wiring != own.definition.wiring:
        raise UserError(
            f"`train.start`: {named} is a model for {theirs.task}, whose tower is wired "
            f"otherwise than that for {own.task}"
        )
    for name in SHAPING:
        found, wanted = getattr(theirs.tower, name), getattr(own.tower, name)
        if found != wanted:
            raise UserError(
                f"`train.start`: {named} has `tower.{name}` {_plain(found)}, these settings have "
                f"{_plain(wanted)}: give the tower the bundle's sizes, or start from {SCRATCH}"
            )


def _plain(value: object) -> str:
    """A setting as a YAML file writes it."""
    return str(list(value)) if isinstance(value, tuple) else str(value)
