"""Methods of the comparison, as settings of the same parts where possible."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chimle.baselines.parameter_matching import tower_parameters, widened_styles
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings


class TrainerKind(StrEnum):
    """Trainer of a method."""

    IMLE = "imle"
    ADVERSARIAL = "adversarial"
    DIFFUSION = "diffusion"


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        name: on command lines and in parameters.
        title: in tables.
        meaning: what it is, in a few words.
        trainer: its trainer.
        changes: fields per section of the settings that differ from CHIMLE's. Those of `train` and
            `perceptual` that its trainer takes no notice of have the values that do nothing, so
            that its settings say what was done.
        widened: its styles are widened until it has CHIMLE's number of parameters.
        visits: how often the steps of a round see each of its images; None: as often as the
            settings' steps do.
    """

    name: str
    title: str
    meaning: str
    trainer: TrainerKind = TrainerKind.IMLE
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    widened: bool = False
    visits: int | None = None


CHIMLE = "chimle"
"""The method that the others are compared with."""

WHOLE: Mapping[str, Any] = {"order": "whole", "too_near": 0.0, "near_tie": 0.0}
"""A search of whole codes, which neither rejects candidates nor decides ties."""
AS_TRAINED: Mapping[str, Any] = {"noise_strength": 1.0, "style_strength": 1.0, "equaliser": None}
"""Fields of `train` that change a finished model, at their defaults."""
OTHER_STEPS: Mapping[str, Any] = {
    **AS_TRAINED,
    "micro_batches": 1,
    "code_noise": 0.0,
    "graph": False,
}
"""Fields of `train` that are for the steps and codes of `ImleTrainer` alone."""

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(CHIMLE, "CHIMLE", "codes searched level by level, every level supervised"),
        Method(
            "published",
            "CHIMLE, published recipe",
            "projected search, published initialisation, batch of one at a constant rate, last "
            "weights, the task's distance at the images' own size, no agreement",
            changes={
                "tower": {"initialisation": "published", "agreement": "none"},
                "perceptual": {"scales": [1], "shift": 0, "turn": False},
                "search": {
                    "order": "hierarchical",
                    "distance": "projected",
                    "projections": 1000,
                    "too_near": 0.0,
                    "near_tie": 0.0,
                    "again_below": None,
                },
                "train": {
                    "repeat_images": 1,
                    "batch_size": 1,
                    "micro_batches": 1,
                    "learning_rate": 1e-4,
                    "mapping_rate": 0.01,
                    "schedule": "constant",
                    "warmup": 0,
                    "betas": [0.9, 0.999],
                    "codes": "searched",
                    "supervision": "every",
                    "level_weights": None,
                    "code_noise": 0.0,
                    **AS_TRAINED,
                    "ema": 0.0,
                },
            },
            visits=25,
        ),
        Method(
            "cimle",
            "cIMLE",
            "one code for the whole image, as many candidates, the finest level supervised",
            changes={"search": WHOLE, "train": {"supervision": "finest", "level_weights": None}},
        ),
        Method(
            "regression",
            "regression",
            "no code, the same loss: one sample per input",
            changes={"train": {**AS_TRAINED, "codes": "none", "code_noise": 0.0}},
        ),
        Method(
            "cgan",
            "conditional GAN",
            "the same generator against a discriminator, with MSGAN's mode seeking",
            TrainerKind.ADVERSARIAL,
            # The usual momenta; at CHIMLE's learning rate training diverges.
            {"train": {"betas": [0.5, 0.999], "learning_rate": 5e-4, **OTHER_STEPS}},
        ),
        Method(
            "diffusion",
            "diffusion",
            "a U-Net of as many parameters that removes noise, the input as further channels",
            TrainerKind.DIFFUSION,
            {
                "perceptual": {"shift": 0, "turn": False},
                "train": {"level_weights": None, **OTHER_STEPS},
            },
        ),
        Method(
            "no_supervision",
            "CHIMLE, finest level supervised",
            "the loss sees the finest image alone",
            changes={"train": {"supervision": "finest", "level_weights": None}},
        ),
        Method(
            "no_hierarchy",
            "CHIMLE, whole codes",
            "nearest of as many whole codes; every level supervised",
            changes={"search": WHOLE},
        ),
        Method(
            "no_mapping",
            "CHIMLE, no mapping network",
            "a level's style is one wide layer of its own code",
            changes={"tower": {"mapping_depth": 1}},
            widened=True,
        ),
        Method(
            "projected",
            "CHIMLE, projected search",
            "candidates compared by 1000 random projections of the features",
            changes={"search": {"distance": "projected", "projections": 1000}},
        ),
    )
}


def get_method(name: str) -> Method:
    """The method of that name; `UserError` with the known names otherwise."""
    if name not in METHODS:
        raise UserError(f"unknown method '{name}': choose one of {', '.join(METHODS)}")
    return METHODS[name]


def adapt(settings: ModelSettings, method: Method, seed: int, pairs: int) -> ModelSettings:
    """Settings of a method's run, from the task's settings for CHIMLE.

    Args:
        settings: of the task.
        method: which.
        seed: of the run.
        pairs: number of those that it trains on.
    """
    values = settings.model_dump(include=set(ModelSettings.model_fields)) | {"seed": seed}
    values["train"] |= {"start": "scratch"}  # No other method has weights to start from.
    for section, fields in method.changes.items():
        values[section] = values[section] | fields
    if method.visits is not None:
        train = values["train"]
        images = min(train["images_per_round"], pairs)
        steps = method.visits * images // train["batch_size"]
        train["steps_per_round"] = max(1, steps)
    own = build_settings(ModelSettings, values, f"method {method.name}")
    return widened_styles(own, tower_parameters(settings)) if method.widened else own
