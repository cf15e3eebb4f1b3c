"""What all settings have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chimle.tasks import Task, get_task


class Settings(BaseModel):
    """Base: unknown fields and NUL in text are errors, values never change after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        """Text is a path or a name somewhere, which cannot hold a NUL."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not contain a NUL character")
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
