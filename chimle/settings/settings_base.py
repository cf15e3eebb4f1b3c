"""What all settings have in common."""

from pydantic import BaseModel, ConfigDict, Field

from chimle.tasks import Task, get_task


class Settings(BaseModel):
    """Base: unknown fields are errors, values never change after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
