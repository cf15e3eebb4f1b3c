"""Git commands of the flows."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from chimle.errors import UserError
from chimle.io.git_environment import without_repository

WITHOUT_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
"""Options of Git with which no hook of the user runs."""


def git(root: Path, *arguments: str, env: dict[str, str] | None = None, hooks: bool = True) -> str:
    """Standard output of a Git command, without its last newline.

    Args:
        root: where it runs.
        arguments: the command.
        env: added to the environment.
        hooks: whether the user's hooks run.

    Raises:
        UserError: Git failed; with its message.
    """
    done = subprocess.run(
        ["git", *(() if hooks else WITHOUT_HOOKS), *arguments],
        cwd=root,
        env={**without_repository(os.environ), "GIT_TERMINAL_PROMPT": "0", **(env or {})},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # A folder's name may be in another encoding.
        check=False,
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UserError(f"git {arguments[0]} in {root}: {reason}")
    return done.stdout.rstrip("\n")


def find_commit(root: Path, name: str) -> str | None:
    """The hash of the commit that `name` means; None if there is no such commit."""
    with suppress(UserError):
        return git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
    return None
