"""`chimle sample | score | import | export | pack | show | explore`: assembles the commands.

Exit codes: 0 done; 2 bad input or usage, with one sentence; anything else is a bug.
"""

import typer

from chimle.cli.explore_command import explore_command
from chimle.cli.export_command import export_command
from chimle.cli.import_command import import_command
from chimle.cli.pack_command import pack_command
from chimle.cli.sample_command import sample_command
from chimle.cli.score_command import score_command
from chimle.cli.show_command import show_command

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
    """The command `chimle`."""
    app()
