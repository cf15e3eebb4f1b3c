"""Models by the name of a task: the pipeline's own, or the pretrained one inside the package."""

from pathlib import Path

from chimle.errors import UserError
from chimle.tasks import TASKS, get_task

PRETRAINED = Path(__file__).parent / "pretrained"
"""Folder of the package with a bundle `TASK.zip` per pretrained task."""


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
    packaged = PRETRAINED / f"{task}.zip"
    if not packaged.is_file():
        raise UserError(
            f"{own} does not exist, and no model for {task} is in the package (there are: "
            f"{', '.join(pretrained_tasks())}): train one with `dvc repro train@{task}`, or name "
            "a bundle by `--model`"
        )
    return packaged
