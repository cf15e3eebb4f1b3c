"""Models by the name of a task: the pipeline's own, or the pretrained one inside the package."""

from pathlib import Path

from chimle.errors import UserError
from chimle.tasks import TASKS, get_task

PRETRAINED = Path(__file__).parent / "pretrained"
"""Folder of the package with a bundle `TASK.zip` per pretrained task."""
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


def _none_packaged(task: str) -> str:
    return f"no model for `{task}` is in the package (there are: {', '.join(pretrained_tasks())})"
