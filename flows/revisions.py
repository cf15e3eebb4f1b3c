"""Revisions and their results in Git, without a checkout.

The results of a revision (`dvc.lock`, metrics, curves, addresses of bundles) are kept as a commit
under `refs/chimle/results/REVISION`, and on a branch if one is named.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from chimle.errors import UserError
from flows.git import find_commit, git

RESULTS = "refs/chimle/results/"
"""Where the results of revisions are kept."""
_DATA = ("data/checksums.json", "data/sources", "data/weights")
_FILES = ("dvc.lock", "dvc.yaml", "metrics", "curves", *_DATA)
"""The part of a run's results that Git holds."""


def project_root() -> Path:
    """The checkout that contains the current directory.

    Raises:
        UserError: there is none, or it is not a DVC project.
    """
    root = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
    if not (root / "dvc.yaml").exists():
        raise UserError(f"{root} has no dvc.yaml: start the flow in a checkout of the project")
    return root


def get_commit(root: Path, name: str) -> str:
    """`find_commit`, or `UserError`."""
    found = find_commit(root, name)
    if found is None:
        raise UserError(f"`{name}` names no commit of {root}: name a branch, tag or hash")
    return found


def results_ref(commit: str) -> str:
    """The reference of a revision's results."""
    return RESULTS + commit


def message(root: Path, commit: str) -> str:
    """A commit's message."""
    return git(root, "log", "-1", "--no-show-signature", "--format=%B", commit)


def check_branch(root: Path, branch: str) -> None:
    """`UserError` for a branch with a bad name, or one that is checked out somewhere."""
    git(root, "check-ref-format", "--branch", branch)
    listed = git(root, "worktree", "list", "--porcelain").splitlines()
    if f"branch refs/heads/{branch}" in listed:
        raise UserError(
            f"branch `{branch}` is checked out, so results cannot be committed to it: name another"
        )


def _identity(root: Path) -> dict[str, str]:
    """Author and committer, for a user who has configured none."""
    with contextlib.suppress(UserError):
        git(root, "var", "GIT_COMMITTER_IDENT")
        return {}
    return {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "chimle"), ("EMAIL", "chimle@localhost"))
    }


def commit_results(tree: Path, parents: Sequence[str], text: str) -> str:
    """Commit the results in a work tree without moving a reference; returns the hash."""
    present = [name for name in _FILES if (tree / name).exists()]
    git(tree, "add", "--all", "--", *present)
    content = git(tree, "write-tree")
    flags = [flag for parent in parents for flag in ("-p", parent)]
    return git(tree, "commit-tree", content, *flags, "-m", text, env=_identity(tree))


def same_content(root: Path, one: str, other: str) -> bool:
    """Whether two commits hold the same files."""
    return git(root, "rev-parse", f"{one}^{{tree}}") == git(root, "rev-parse", f"{other}^{{tree}}")


def move(root: Path, reference: str, new: str, old: str | None) -> None:
    """Point a reference to `new`; `UserError` unless it is at `old` (None: does not exist)."""
    git(root, "update-ref", "--", reference, new, old or "0" * 40)
