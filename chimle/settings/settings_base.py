"""What all settings have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chimle.tasks import Task, get_task

_LARGEST = 2**63 - 1


def _check(value: Any) -> None:
    """`ValueError` for text or an integer that cannot be used, also in tuples and mappings."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("must not contain a NUL character")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"must not be larger than {_LARGEST}")
    if isinstance(value, tuple | list):
        for one in value:
            _check(one)
    if isinstance(value, dict):
        _check((*value, *value.values()))


class Settings(BaseModel):
    """Base: values never change after construction; unknown fields, NUL in text and integers of
    more than 64 bits are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        """Text is a path or a name somewhere, which cannot hold a NUL; integers are sizes and
        counts of arrays, and of JSON files that others read."""
        _check(value)
        return value


class TaskSettings(Settings):
    """Settings of one task."""

    task: str
    """Name of the task."""

    @property
    def definition(self) -> Task:
        """The task's definition."""
        return get_task(self.task)


class SeededSettings(TaskSettings):
    """Settings of what draws random numbers for one task."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of splits, initialisation, codes and augmentation."""
