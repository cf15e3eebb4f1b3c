"""What is compared: `comparison/params.yaml`."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from chimle.errors import UserError
from chimle.settings.reading import read_yaml, sentence
from chimle.settings.settings_base import Settings
from chimle.tasks import get_task

PARAMS = "comparison/params.yaml"


class KnownModesSettings(Settings):
    """The comparison on a problem whose targets are known (`chimle.baselines.known_modes`)."""

    methods: tuple[str, ...] = Field(min_length=1)
    """Names of methods (`chimle.baselines.methods`)."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Every method is trained once per seed."""
    seconds: float = Field(60.0, gt=0)
    """Training time of each run, search included: processor seconds of all its threads on a CPU,
    elapsed seconds on a GPU."""
    pairs: int = Field(480, ge=12)
    """Training pairs, each with one of its input's targets: too many to memorise."""
    inputs: int = Field(12, ge=1)
    """Unseen inputs that samples are drawn for."""
    samples: int = Field(192, ge=2)
    """Samples per input."""


class RunMethodSettings(Settings):
    """The comparison on the pairs of tasks."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Tasks of `params.yaml`, whose settings CHIMLE has and the others start from."""
    methods: tuple[str, ...] = Field(min_length=1)
    """Names of methods (`chimle.baselines.methods`); the table is relative to `chimle`."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Every method is trained once per task and seed."""
    seconds: float = Field(300.0, gt=0)
    """Training time of each run, search included: processor seconds of all its threads on a CPU,
    elapsed seconds on a GPU."""
    shown: int = Field(4, ge=1)
    """Test inputs in the image grid."""

    @field_validator("tasks")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            get_task(name)
        return value


class ComparisonSettings(Settings):
    """Both comparisons."""

    known_modes: KnownModesSettings
    """The comparison on a problem whose targets are known."""
    run_method: RunMethodSettings
    """The comparison on the pairs of tasks."""


def load_comparison(root: Path = Path()) -> ComparisonSettings:
    """What `comparison/params.yaml` says; `UserError` names the field that is wrong."""
    values: dict[str, Any] = read_yaml(root / PARAMS)
    try:
        return ComparisonSettings.model_validate(values)
    except ValidationError as error:
        raise UserError(sentence(error, PARAMS)) from None
