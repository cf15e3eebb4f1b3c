"""Training on images in memory: `chimle.train`. A run that is to resume is the pipeline's."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from chimle.api.given_degradation import given_degradation
from chimle.bundles.bundle import Bundle
from chimle.bundles.start_weights import load_start_bundle, start_weights
from chimle.bundles.task_models import SCRATCH
from chimle.data.dataset import Pair
from chimle.data.pair.pair_specs import centre_square, same_aspect
from chimle.device import choose_device
from chimle.errors import UserError
from chimle.images.degrade import degrade, parameters_of
from chimle.images.jpeg import code_of_degradation
from chimle.images.pyramid import resize
from chimle.inference.inputs import Images, as_array
from chimle.inference.model import Model
from chimle.perceptual.training_distance import described, load_training_distance
from chimle.settings.degradation import DegradationSettings
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.tasks import get_task
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.training_origin import training_origin

SECTIONS = ("tower", "perceptual", "search", "train")
"""Sections of the settings that a training reads."""
PRESET = "none"
"""Name of the preset in the bundle of a model that no preset made."""


@dataclass(frozen=True)
class TrainedModel:
    """Result of a training: the model, and the training curve as columns of equal length."""

    model: Model
    curve: dict[str, list[float]]


def train(
    images: Images,
    task: str,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    inputs: Images | None = None,
    degradation: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> TrainedModel:
    """Train a model on target images.

    Each image becomes its largest central square, reduced to the tower's resolution. Nothing is
    written and a killed run is lost: to resume, train in a project (`docs/howto-train.md`).

    Args:
        images: targets: PIL images, (H, W, 3) uint8 arrays or (3, H, W) tensors in [0, 1]; or one
            (N, H, W, 3) array or (N, 3, H, W) tensor of them.
        task: name of a task.
        settings: sections `tower`, `perceptual`, `search` and `train` with their fields, as in a
            preset's file; a field that is not given has its default. With `train.start`, fields of
            `tower` that are not given are those of the model that training starts from.
        inputs: the observed input of every target; None: made by the task's degradation.
        degradation: parameters of the task's degradation, as `{"jpeg_quality": 5}`; None: the
            defaults.
        seed: of weights, codes, order and orientation of the images, and of the degradation.

    Raises:
        TypeError: an image is of another type.
        UserError: there is no image, an image is too small, inputs and targets differ in number, a
            setting is unknown or out of range, or the task's degradation has no such parameter.
    """
    given = _checked_sections(settings or {})
    origin = _start_bundle(given, task)
    tower = given.get("tower", {})
    if origin is not None and isinstance(tower, Mapping):  # Validation finds anything else.
        given["tower"] = {**origin.settings.tower.model_dump(mode="json"), **tower}
    model_settings = build_settings(
        ModelSettings, {**given, "task": task, "preset": PRESET, "seed": seed}, "settings"
    )
    degrading = given_degradation(degradation, model_settings.definition)
    pairs = _pairs(images, inputs, model_settings, degrading)
    device = choose_device()
    distance = load_training_distance(model_settings.perceptual, str(device))
    start = None if origin is None else start_weights(origin, model_settings)
    with TemporaryDirectory(prefix="chimle-train-") as folder:
        execution = Execution(
            Path(folder) / "state.pt", device, model_settings.train.seconds, kept=False
        )
        trained = ImleTrainer(model_settings, pairs, distance, execution, start).run()
    provenance = training_origin(model_settings, _pairs_hash(pairs), described(distance), start)
    tower = trained.tower.eval().requires_grad_(False)
    parameters = parameters_of(model_settings.definition, degrading)
    bundle = Bundle(tower, model_settings, provenance, degradation=parameters)
    columns = zip(*trained.history, strict=True)
    curve = {name: list(values) for name, values in zip(trained.columns, columns, strict=True)}
    return TrainedModel(Model(bundle, device), curve)


def _checked_sections(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings, by section; `UserError` for another section."""
    unknown = sorted(set(settings) - set(SECTIONS))
    if unknown:
        raise UserError(f"settings: unknown section `{unknown[0]}`: use {', '.join(SECTIONS)}")
    return dict(settings)


def _start_bundle(sections: Mapping[str, Any], task: str) -> Bundle | None:
    """The model that training starts from; None: from scratch, or validation finds the fault."""
    train = sections.get("train")
    if not isinstance(train, Mapping):
        return None
    return load_start_bundle(str(train.get("start", SCRATCH)), get_task(task).name)


def _pairs(
    images: Images,
    inputs: Images | None,
    settings: ModelSettings,
    degrading: DegradationSettings,
) -> list[Pair]:
    """Pairs of the tower's resolution, named by their numbers."""
    if inputs is not None and len(inputs) != len(images):
        raise UserError(
            f"{len(inputs)} inputs for {len(images)} images: every image needs its own input"
        )
    size, task = settings.tower.resolution, settings.definition
    pairs = []
    for number, image in enumerate(images):
        whole = as_array(image)
        target = _square(whole, size, f"image {number}")
        if inputs is None:
            degraded, how = degrade(target, task, degrading, settings.seed + number)
            pairs.append(Pair(str(number), degraded, target, code_of_degradation(how)))
            continue
        given = as_array(inputs[number])
        if not same_aspect(given.shape[:2], whole.shape[:2]):
            raise UserError(
                f"input {number} ({_sides(given)}) has another shape than image {number} "
                f"({_sides(whole)}): crop one of them"
            )
        own = _square(given, size // task.reduction, f"input {number}")
        pairs.append(Pair(str(number), own, target))
    if not pairs:
        raise UserError("there is no image to train on: give at least one")
    return pairs


def _sides(rgb: np.ndarray) -> str:
    """Width and height as a message states them."""
    return f"{rgb.shape[1]}x{rgb.shape[0]}"


def _square(rgb: np.ndarray, size: int, name: str) -> np.ndarray:
    """The largest central square, reduced to `size`; `UserError` where it is smaller."""
    height, width = rgb.shape[:2]
    left, top, side = centre_square(width, height)
    if side < size:
        raise UserError(
            f"{name} has {_sides(rgb)} pixels, fewer than {size}x{size}: leave it out or lower "
            "`tower.resolution`"
        )
    return resize(rgb[top : top + side, left : left + side], (size, size))


def _pairs_hash(pairs: Sequence[Pair]) -> str:
    """SHA-256 of the pixels of all pairs."""
    state = hashlib.sha256()
    for pair in pairs:
        for image in (pair.input, pair.target):
            state.update(repr(image.shape).encode() + image.tobytes())
    return state.hexdigest()
