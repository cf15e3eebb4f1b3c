"""Parameters that look like options or commands are refused, and start nothing."""

from pathlib import Path

import pytest

from chimle.errors import TransientError, UserError
from flows.command import Commands
from flows.git import find_commit
from flows.git_remotes import fetch, push
from flows.publish import PublishOptions
from flows.revisions import check_branch, get_commit
from flows.worktrees import set_default_remote, work_tree
from tests.support.repositories import commit, run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    commit(root, "start")
    return root


def names(mark: Path) -> list[str]:
    return [
        f"--upload-pack=touch {mark}",
        f"--receive-pack=touch {mark}",
        f"--output={mark}",
        f"ext::sh -c touch% {mark}",
        f"$(touch {mark})",
        f"; touch {mark}",
        "-f",
        "",
    ]


def test_hostile_parameters_are_refused_and_start_nothing(root: Path) -> None:
    mark = root.parent / "it-ran"
    for name in names(mark):
        assert find_commit(root, name) is None
        for refused in (get_commit, check_branch):
            with pytest.raises(UserError):
                refused(root, name)
        with pytest.raises((UserError, TransientError)):
            fetch(Commands(root), name or "-")
        with pytest.raises((UserError, TransientError)):
            push(Commands(root), name or "-", "main")
        with pytest.raises(UserError):
            set_default_remote(root, name)
        with pytest.raises(UserError), work_tree(root, "one", name or "-"):
            pass
        with pytest.raises(UserError):
            PublishOptions(bundles=name or "-", license="mit")
    assert not mark.exists()
    assert run(root, "git", "status", "--porcelain") == ""
