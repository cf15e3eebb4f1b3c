"""`chimle sample | score | import | export | pack | show | explore`: assembles the commands.

Exit codes: 0 done; 2 bad input or usage, with one sentence; anything else is a bug.
"""

import itertools
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from chimle.cli.explore_command import explore_command
from chimle.cli.export_command import export_command
from chimle.cli.import_command import import_command
from chimle.cli.pack_command import pack_command
from chimle.cli.sample_command import sample_command
from chimle.cli.score_command import score_command
from chimle.cli.show_command import show_command
from chimle.io.terminal import closed_pipe_ignored, emit_line, prepare_streams
from chimle.settings.shown_values import without_secrets

app = typer.Typer(
    name="chimle",
    help="Many different plausible samples of one image.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done; 2 bad input, with one sentence; anything else is a bug.",
)
for name, command in (
    ("sample", sample_command),
    ("score", score_command),
    ("import", import_command),
    ("export", export_command),
    ("pack", pack_command),
    ("show", show_command),
    ("explore", explore_command),
):
    app.command(name)(command)


def main() -> None:
    """The command `chimle`; a usage error is one sentence, as every other error is."""
    prepare_streams()
    code = 0
    with closed_pipe_ignored():
        try:
            _check_no_value_is_empty(sys.argv)
            code = app(standalone_mode=False) or 0
        except TyperException as error:
            code = 2
            _print_usage_error(error)
        except SystemExit as stopped:
            # Rich and Typer exit with code 1 where a reader closes the pipe early, and only there.
            code = 0 if stopped.code in (None, 1) else int(stopped.code or 0)
    sys.exit(code)


def _check_no_value_is_empty(arguments: Sequence[str]) -> None:
    """`TyperException` for an empty argument, which a path or an address would read as `.`.

    A shell passes one where a variable has no value, as in `-o "$OUT"`.
    """
    for before, argument in itertools.pairwise(arguments):
        if not argument:
            option = before
        elif argument.startswith("--") and argument.endswith("="):
            option = argument[:-1]
        else:
            continue
        place = f" after `{option}`" if option.startswith("-") else ""
        raise TyperException(f"an empty value{place}: give one, or leave it out")


def _print_usage_error(error: TyperException) -> None:
    # Without arguments, Typer has printed the help already, and the message is empty.
    message = without_secrets(" ".join(error.format_message().split())).rstrip(".")
    if message:
        context: typer.Context | None = getattr(error, "ctx", None)
        command = context.command_path if context else "chimle"
        emit_line(f"error: {message}: see `{command} --help`")
