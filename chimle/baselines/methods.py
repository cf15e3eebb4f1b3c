"""The methods that can be compared, as settings of the same parts where that is possible."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chimle.baselines.parameter_matching import tower_parameters, widened_styles
from chimle.errors import UserError
from chimle.settings import RunSettings, build_settings


class TrainerKind(StrEnum):
    """Which program trains a method."""

    IMLE = "imle"
    ADVERSARIAL = "adversarial"
    DIFFUSION = "diffusion"


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: on command lines and in parameters.
        title: in tables.
        meaning: what it is, in a few words.
        learner: which program trains it.
        changes: fields per section of the settings that differ from CHIMLE's.
        widened: its styles are as wide as it takes to have CHIMLE's number of parameters.
    """

    name: str
    title: str
    meaning: str
    learner: TrainerKind = TrainerKind.IMLE
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    widened: bool = False


CHIMLE = "chimle"
"""The method that the others are compared with."""

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(CHIMLE, "CHIMLE", "codes searched level by level, every level supervised"),
        Method(
            "cimle",
            "cIMLE",
            "one code for the whole picture, as many candidates, the finest level supervised",
            changes={"search": {"order": "whole"}, "train": {"supervision": "finest"}},
        ),
        Method(
            "regression",
            "regression",
            "no code, the same loss: one answer per input",
            changes={"train": {"codes": "none"}},
        ),
        Method(
            "cgan",
            "conditional GAN",
            "the same generator against a discriminator, with MSGAN's mode seeking",
            TrainerKind.ADVERSARIAL,
            # The usual momenta; at CHIMLE's rate the discriminator runs away.
            {"train": {"betas": [0.5, 0.999], "learning_rate": 5e-4}},
        ),
        Method(
            "diffusion",
            "diffusion",
            "a U-Net of as many parameters that removes noise, the input as further channels",
            TrainerKind.DIFFUSION,
        ),
        Method(
            "no_supervision",
            "CHIMLE, finest level supervised",
            "the loss sees the finest picture alone",
            changes={"train": {"supervision": "finest"}},
        ),
        Method(
            "no_hierarchy",
            "CHIMLE, whole codes",
            "of as many whole codes the nearest; every level supervised",
            changes={"search": {"order": "whole"}},
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
            changes={"search": {"distance": "projected"}},
        ),
    )
}


def get_method(name: str) -> Method:
    """The method of that name; `UserError` with the known names otherwise."""
    if name not in METHODS:
        raise UserError(f"unknown method '{name}': choose one of {', '.join(METHODS)}")
    return METHODS[name]


def adapt(settings: RunSettings, method: Method, seed: int) -> RunSettings:
    """The settings of a task's CHIMLE run, as a method's run with another seed has them."""
    values = settings.model_dump() | {"seed": seed}
    for section, fields in method.changes.items():
        values[section] = values[section] | fields
    own = build_settings(values, f"method {method.name}")
    return widened_styles(own, tower_parameters(settings)) if method.widened else own
