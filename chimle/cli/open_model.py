"""The model that `--model` and `--task` name."""

from typing import TYPE_CHECKING

from chimle.errors import UserError
from chimle.tasks import get_task

if TYPE_CHECKING:
    from chimle.inference.model import Model


def model_address(model: str | None, task: str | None) -> str:
    """Address of the bundle: `model`, or the pipeline's own bundle for `task`.

    Raises:
        UserError: the task is unknown, or neither is given.
    """
    if task is not None:
        get_task(task)
    if model is None and task is None:
        raise UserError("name a bundle by `--model`, or one of the pipeline's own by `--task`")
    return model or f"models/{task}"


def open_model(model: str | None, task: str | None) -> "Model":
    """The loaded model; `UserError` where it is one for another task than `task`."""
    from chimle.inference.model import load

    address = model_address(model, task)
    loaded = load(address)
    own = loaded.bundle.settings.task
    if task is not None and own != task:
        raise UserError(f"{address} is a model for {own}, not for {task}")
    return loaded
