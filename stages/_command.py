"""What every stage's command line shares: on bad input, one sentence and exit code 2."""

import argparse
import json
from collections.abc import Callable, Collection
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
    main: Callable[[Kind, Path], None],
    kind: type[Kind],
    description: str | None = None,
    smaller: str | None = None,
) -> None:
    """The command line `python -m stages.<stage> TASK [--root DIR]`.

    Args:
        main: takes the task's settings and the project's directory.
        kind: the settings that the stage depends on; no others are read.
        description: for `--help`.
        smaller: settings to lower where memory is full, as a sentence says it; None: there are
            none.
    """
    arguments = task_parser(description).parse_args()
    guarded(
        lambda: main(load_settings(kind, arguments.task, arguments.root), arguments.root),
        smaller=smaller,
    )


def read_result(path: Path, command: str, fields: Collection[str]) -> Any:
    """The JSON that a stage wrote.

    Args:
        path: its file.
        command: of the stage, for messages.
        fields: that it must have.

    Raises:
        UserError: the stage did not run, or the file is damaged or lacks a field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run `{command}`") from None
    except ValueError:
        raise UserError(f"{path} is damaged: run `{command}` again") from None
    missing = [
        name for name in sorted(fields) if not isinstance(content, dict) or name not in content
    ]
    if missing:
        raise UserError(f"{path} has no `{missing[0]}`: run `{command}` again")
    return content
