"""Models by name: a task's own of the pipeline, its pretrained one, and those of `train.start`."""

from pathlib import Path

from chimle.errors import UserError
from chimle.tasks import TASKS, get_task

PRETRAINED = Path(__file__).parent / "pretrained"
"""Folder of the package with a bundle `TASK.zip` per pretrained task."""
SCRATCH, PACKAGED = "scratch", "pretrained"
"""Values of `train.start`: no model, and the task's pretrained one."""
PRETRAINED_PREFIX = "pretrained:"
"""Begins the address `pretrained:TASK` of a bundle in that folder."""


def pretrained_tasks() -> list[str]:
    """Names of the tasks that have a pretrained model."""
    return [name for name in TASKS if (PRETRAINED / f"{name}.zip").is_file()]


def task_model(task: str, project: Path = Path()) -> Path:
    """Address of a task's model: `models/TASK` of the project where it exists, else pretrained.

    Raises:
        UserError: the task is unknown, or has neither.
    """
    own = project / "models" / get_task(task).name
    if own.exists():
        return own
    if task not in pretrained_tasks():
        raise UserError(
            f"{own} does not exist, and {_none_packaged(task)}: train one with `dvc repro "
            f"train@{task}`, or name a bundle by `--model`"
        )
    return packaged_model(task)


def packaged_model(task: str) -> Path:
    """Address of a task's pretrained model; `UserError` where the package has none."""
    if task not in pretrained_tasks():
        raise UserError(_none_packaged(task))
    return PRETRAINED / f"{task}.zip"


def named_model(address: str, project: Path = Path()) -> str:
    """An address; where it is the name of a task or `pretrained:TASK`, the place of that model.

    Raises:
        UserError: there is no such model.
    """
    if address.startswith(PRETRAINED_PREFIX):
        return str(packaged_model(address.removeprefix(PRETRAINED_PREFIX)))
    if address in TASKS and not (project / address).exists():
        return str(task_model(address, project))
    return address


def start_address(start: str, task: str, root: Path = Path()) -> Path | None:
    """The bundle that `train.start` names; None: training starts from scratch.

    Raises:
        UserError: there is no such pretrained model.
    """
    if start == SCRATCH:
        return None
    if start != PACKAGED and not start.startswith(PRETRAINED_PREFIX):
        return root / start
    try:
        return packaged_model(task if start == PACKAGED else start.removeprefix(PRETRAINED_PREFIX))
    except UserError as error:
        raise UserError(f"`train.start`: {error}: use {SCRATCH}") from None


def _none_packaged(task: str) -> str:
    return f"no model for `{task}` is in the package (there are: {', '.join(pretrained_tasks())})"
