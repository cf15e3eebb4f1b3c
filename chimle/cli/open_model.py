"""The model that `--model` and `--task` name."""

from pathlib import Path
from typing import TYPE_CHECKING

from chimle.bundles.task_models import (
    PRETRAINED,
    PRETRAINED_PREFIX,
    named_model,
    pretrained_tasks,
    task_model,
)
from chimle.cli.output_folder import check_outside
from chimle.errors import UserError
from chimle.io.terminal import emit_line
from chimle.io.urls import plain
from chimle.tasks import TASKS, get_task

if TYPE_CHECKING:
    from chimle.device import Precision
    from chimle.inference.model import Model


def model_address(model: str | None, task: str | None) -> str:
    """Address of the bundle: `model`, or the task's own or pretrained model, which is announced.

    So is the model that a task's name as `model` stands for. Where the project's own is taken, it
    says how to name the pretrained one.

    Raises:
        UserError: the task is unknown, has no model, or neither is given.
    """
    if task is not None:
        get_task(task)
    if model is not None:
        named = named_model(model)
        if model in TASKS and named != model:
            emit_line(f"{model}: {_described(Path(named), model)}")
        return named
    if task is None:
        raise UserError("name a bundle by `--model`, or a task by `--task`")
    address = task_model(task)
    emit_line(f"{task}: {_described(address, task)}")
    return str(address)


def _described(address: Path, task: str) -> str:
    """A task's model in words, with the address of the pretrained one where it is another."""
    if address.is_relative_to(PRETRAINED):
        return "the pretrained model of the package"
    if task not in pretrained_tasks():
        return str(address)
    return f"{address} (the package's: --model {PRETRAINED_PREFIX}{task})"


def open_model(
    model: str | None,
    task: str | None,
    precision: "Precision" = "fp32",
    out: Path | None = None,
) -> "Model":
    """The loaded model.

    Args:
        model: address of the bundle; None: the task's.
        task: name of a task.
        precision: of the model's arithmetic.
        out: what the command writes.

    Raises:
        UserError: there is none, it is for another task than `task`, or `out` lies in its folder.
    """
    from chimle.inference.load_model import load

    address = model_address(model, task)
    if out is not None:
        check_outside(out, address)
    loaded = load(address, precision)
    own = loaded.bundle.settings.task
    if task is not None and own != task:
        raise UserError(f"{plain(address)} is a model for {own}, not for {task}")
    return loaded
