"""The model that `--model` and `--task` name."""

from typing import TYPE_CHECKING

from chimle.bundles.task_models import task_model
from chimle.errors import UserError
from chimle.io.terminal import emit_line
from chimle.io.urls import plain
from chimle.tasks import get_task

if TYPE_CHECKING:
    from chimle.device import Precision
    from chimle.inference.model import Model


def model_address(model: str | None, task: str | None) -> str:
    """Address of the bundle: `model`, or the task's own or pretrained model, which is announced.

    Raises:
        UserError: the task is unknown, has no model, or neither is given.
    """
    if task is not None:
        get_task(task)
    if model is not None:
        return model
    if task is None:
        raise UserError("name a bundle by `--model`, or a task by `--task`")
    address = task_model(task)
    kind = "the pretrained model of the package" if address.is_file() else f"{address}"
    emit_line(f"{task}: {kind}")
    return str(address)


def open_model(model: str | None, task: str | None, precision: "Precision" = "fp32") -> "Model":
    """The loaded model; `UserError` where it is one for another task than `task`."""
    from chimle.inference.model import load

    address = model_address(model, task)
    loaded = load(address, precision)
    own = loaded.bundle.settings.task
    if task is not None and own != task:
        raise UserError(f"{plain(address)} is a model for {own}, not for {task}")
    return loaded
