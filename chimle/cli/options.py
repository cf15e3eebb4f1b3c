"""Options that several commands share."""

from typing import Annotated

import typer

from chimle.tasks import TASKS


def task_names() -> list[str]:
    """Completions of `--task`."""
    return list(TASKS)


SMALLER = "free some, or take another device by CHIMLE_DEVICE or a smaller model"
"""What to do where memory is too small for a command, whatever its images are."""

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Bundle: folder, zip file, s3://bucket/name, hf://user/name@revision or "
        "git+REPOSITORY@REVISION:PATH, or pretrained:TASK. Default: models/TASK, else "
        "pretrained:TASK.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option(help=", ".join(TASKS), show_default=False, autocompletion=task_names),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for a script.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
