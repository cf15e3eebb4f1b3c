"""What every stage's command line shares: on bad input, one sentence and exit code 2."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from chimle.errors import UserError, guarded
from chimle.settings.reading import load_settings
from chimle.settings.settings_base import TaskSettings
from chimle.tasks import TASKS

Kind = TypeVar("Kind", bound=TaskSettings)


def root_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows `--root`, the project's directory."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=Path, default=Path(), help="project directory (default: .)")
    return parser


def task_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows `TASK` and `--root`."""
    parser = root_parser(description)
    parser.add_argument("task", metavar="TASK", help=", ".join(TASKS))
    return parser


def run_stage(
    main: Callable[[Kind, Path], None], kind: type[Kind], description: str | None = None
) -> None:
    """The command line `python -m stages.<stage> TASK [--root DIR]`.

    Args:
        main: takes the task's settings and the project's directory.
        kind: the settings that the stage depends on; no others are read.
        description: for `--help`.
    """
    arguments = task_parser(description).parse_args()
    guarded(lambda: main(load_settings(kind, arguments.task, arguments.root), arguments.root))


def read_result(path: Path, command: str) -> Any:
    """The JSON that a stage wrote; `UserError` names the stage's command where it did not run."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: run `{command}`")
    return json.loads(path.read_text())
