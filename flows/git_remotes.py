"""Git's remotes: fetched from and pushed to by a command that ends with its run.

A remote that is silent is given up, so that another attempt may find it well.
"""

from pathlib import Path

from chimle.errors import TransientError, UserError
from chimle.io.git_progress import without_progress
from flows.command import CommandError, Commands
from flows.git import WITHOUT_HOOKS, git
from flows.stall import StallLimit

SILENCE = 600.0
"""Seconds in which a remote must get on. A hook of a server may be silent for minutes."""
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
"""Asks nobody for a password, and speaks the language in which failures are classified."""


def check_remote(root: Path, name: str) -> None:
    """`UserError` unless `name` is the name of a remote.

    An address is none: what is fetched by one gets no name, and it may hold a login, which names
    and messages of runs would show.
    """
    known = git(root, "remote").split()
    if name not in known:
        raise UserError(
            "`git_remote` must be the name of a Git remote, as `git remote` prints it "
            f"({', '.join(known) or 'there is none'}): `git remote add NAME ADDRESS` adds one"
        )


def fetch(commands: Commands, remote: str) -> None:
    """Fetch a remote's commits into the project.

    A shallow clone becomes complete: a model's provenance names the last commit of its code.

    Raises:
        UserError: the remote is unknown or refuses.
        TransientError: it is out of reach or silent.
    """
    shallow = git(commands.root, "rev-parse", "--is-shallow-repository") == "true"
    whole = ["--unshallow"] if shallow else []
    _run(commands, "fetch", *whole, "--progress", "--end-of-options", remote)


def push(commands: Commands, remote: str, branch: str) -> None:
    """Push a branch of the project; raises as `fetch`."""
    reference = f"refs/heads/{branch}"
    refspec = f"{reference}:{reference}"
    _run(commands, "push", "--progress", "--end-of-options", remote, refspec)


def _run(commands: Commands, action: str, *arguments: str) -> None:
    root, lines = commands.root, list[str]()
    # What is fetched grows there; each line of progress counts as well.
    packs = root / git(root, "rev-parse", "--git-path", "objects/pack")
    # The hooks of `dvc install` push the data of the checkout, or fail.
    command = ["git", *WITHOUT_HOOKS, action, *arguments]
    stall = StallLimit(SILENCE, packs)
    try:
        commands.run(command, root, lines.append, env=_ENVIRONMENT, stall=stall)
    except (UserError, CommandError, TransientError) as error:
        told = without_progress(lines)
        reason = told if str(error) in told else f"{told} {error}".strip()
        kind = TransientError if isinstance(error, TransientError) else UserError
        raise kind(f"git {action} in {root}: {reason}") from None
