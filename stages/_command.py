"""What every stage's command line shares: on bad input, one sentence and exit code 2."""

import argparse
import errno
import sys
from collections.abc import Callable
from pathlib import Path

from chimle.errors import UserError
from chimle.settings import RunSettings, load_settings
from chimle.tasks import TASKS

_FULL = {errno.ENOSPC: "no space is left on the device", errno.EDQUOT: "the disk quota is used up"}


def describe_os_error(error: OSError) -> str:
    """An operating system's refusal as one sentence that names the file."""
    name = f" ({error.filename})" if error.filename else ""
    if error.errno in _FULL:
        return f"{_FULL[error.errno]}{name}: free some and run again; nothing was half-written"
    return f"{error.strerror or error}{name}"


def guarded(main: Callable[[], None]) -> None:
    """Run `main`; what a person can mend becomes one sentence on stderr and exit code 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {describe_os_error(error)}", file=sys.stderr)
        sys.exit(2)


def root_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows `--root`, the project's directory."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=Path, default=Path(), help="project directory (default: .)")
    return parser


def run_stage(main: Callable[[RunSettings, Path], None], description: str | None = None) -> None:
    """The command line `python -m stages.<stage> TASK [--root DIR]`."""
    parser = root_parser(description)
    parser.add_argument("task", metavar="TASK", help=", ".join(TASKS))
    arguments = parser.parse_args()
    guarded(lambda: main(load_settings(arguments.task, arguments.root), arguments.root))
