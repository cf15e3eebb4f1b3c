"""Parameters of a degradation as a Python program gives them."""

from collections.abc import Mapping
from typing import Any

from chimle.errors import UserError
from chimle.images.degrade import parameters_of
from chimle.settings.degradation import DegradationSettings
from chimle.settings.reading import build_settings
from chimle.tasks import Task


def given_degradation(values: Mapping[str, Any] | None, task: Task | None) -> DegradationSettings:
    """Settings of a task's degradation; what is not given has its default.

    Args:
        values: by name, as `{"jpeg_quality": 5}`.
        task: whose degradation it is; None: there is none.

    Raises:
        UserError: a value is out of range, or of no parameter that the task's degradation takes.
    """
    settings = build_settings(DegradationSettings, values or {}, "degradation")
    taken = {} if task is None else parameters_of(task, settings)
    for name in values or {}:
        if name not in taken:
            place = "without a task" if task is None else f"for {task.name}"
            raise UserError(f"degradation: `{name}` changes nothing {place}: leave it out")
    return settings
