"""The four tasks as data: what is degraded, what the tower sees, how the tower is wired.

Everything that differs between tasks is a field here; no other module compares task names.
"""

from dataclasses import dataclass
from enum import StrEnum

from chimle.errors import UserError


class Wiring(StrEnum):
    """How a tower passes conditioning and features between levels (see `chimle.tower`)."""

    GENERIC = "generic"
    SUPER_RESOLUTION = "super_resolution"
    COLOURIZATION = "colourization"


class Degradation(StrEnum):
    """How an input is made from a target photograph (see `chimle.images.degrade`)."""

    REDUCE = "reduce"
    LIGHTNESS = "lightness"
    JPEG = "jpeg"
    NIGHT = "night"


@dataclass(frozen=True)
class Task:
    """One conditional image synthesis problem.

    Attributes:
        name: the name in `params.yaml`, `dvc.yaml` and on command lines.
        title: the name that a report shows.
        wiring: how the tower is wired.
        degradation: how an input is made when a source has no pairs of its own.
        conditioning_channels: channels of a conditioning image (3 RGB, 1 lightness).
        reduction: target side divided by input side; 1 where both are of one size.
    """

    name: str
    title: str
    wiring: Wiring
    degradation: Degradation
    conditioning_channels: int = 3
    reduction: int = 1


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "super_resolution",
            "Super-resolution x16",
            Wiring.SUPER_RESOLUTION,
            Degradation.REDUCE,
            reduction=16,
        ),
        Task(
            "colourization",
            "Colourization",
            Wiring.COLOURIZATION,
            Degradation.LIGHTNESS,
            conditioning_channels=1,
        ),
        Task("decompression", "Decompression", Wiring.GENERIC, Degradation.JPEG),
        Task("night_to_day", "Night to day", Wiring.GENERIC, Degradation.NIGHT),
    )
}


def get_task(name: str) -> Task:
    """The task of that name; `UserError` with the known names otherwise."""
    if name not in TASKS:
        raise UserError(f"unknown task '{name}': choose one of {', '.join(TASKS)}")
    return TASKS[name]
