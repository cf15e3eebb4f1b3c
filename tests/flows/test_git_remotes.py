"""Git's remotes: a silent one is given up, no hook of the checkout runs, reasons are sentences."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chimle.errors import TransientError, UserError
from flows import git_remotes
from flows.command import Commands
from flows.git import find_commit
from flows.git_remotes import check_remote, fetch, push
from tests.support.repositories import commit, run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one commit, on `main`."""
    run(tmp_path, "git", "init", "-q", "-b", "main", "project")
    (tmp_path / "project" / "file").write_text("content")
    commit(tmp_path / "project", "start")
    return tmp_path / "project"


@pytest.fixture
def remote(root: Path, tmp_path: Path) -> Path:
    """Its remote `origin`, empty."""
    run(tmp_path, "git", "init", "-q", "--bare", "-b", "main", "remote")
    run(root, "git", "remote", "add", "origin", str(tmp_path / "remote"))
    return tmp_path / "remote"


def write_hook(repository: Path, name: str, text: str) -> None:
    hook = repository / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{text}\n")
    hook.chmod(0o755)


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`HOST:PORT` of a server that takes connections and says nothing; the limit is two seconds."""
    monkeypatch.setattr(git_remotes, "SILENCE", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "git", "ssh"])
@pytest.mark.parametrize("pushes", [False, True])
def test_a_silent_remote_is_given_up_and_tried_again(
    root: Path, silent_server: str, scheme: str, pushes: bool
) -> None:
    address = f"{scheme}://{silent_server}/x"
    with pytest.raises(TransientError, match="git made no progress for 2s"):
        push(Commands(root), address, "main") if pushes else fetch(Commands(root), address)
    lines = [each.info["cmdline"] or () for each in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if address in line]


def test_hooks_of_the_checkout_do_not_run_and_those_of_the_remote_do(
    root: Path, remote: Path
) -> None:
    """`dvc install` makes one that pushes the data of the checkout, or fails without a remote."""
    write_hook(root / ".git", "pre-push", "exit 1")
    push(Commands(root), "origin", "main")
    assert find_commit(remote, "main") == find_commit(root, "main")
    write_hook(remote, "pre-receive", "echo no more; exit 1")
    (root / "file").write_text("more")
    commit(root, "more")
    with pytest.raises(
        UserError, match=r"^git push in .* no more .*pre-receive hook declined"
    ) as told:
        push(Commands(root), "origin", "main")
    assert "\n" not in str(told.value)
    assert "Writing" not in str(told.value)


def test_what_is_fetched_is_there(root: Path, remote: Path, tmp_path: Path) -> None:
    push(Commands(root), "origin", "main")
    run(tmp_path, "git", "clone", "-q", "--depth=1", f"file://{remote}", "other")
    (root / "file").write_text("more")
    commit(root, "more")
    push(Commands(root), "origin", "main")
    fetch(Commands(tmp_path / "other"), "origin")
    assert find_commit(tmp_path / "other", "origin/main") == find_commit(root, "main")
    assert not (tmp_path / "other" / ".git" / "shallow").exists()


def test_git_speaks_the_language_in_which_failures_are_classified(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv(
        "GIT_SSH_COMMAND", "sh -c 'echo speaks $LC_ALL, asks $GIT_TERMINAL_PROMPT >&2'"
    )
    with pytest.raises((UserError, TransientError), match="speaks C, asks 0"):
        fetch(Commands(root), "ssh://localhost/x")


def test_an_unknown_remote_is_a_sentence(root: Path) -> None:
    with pytest.raises(UserError, match=r"^git fetch in .* 'nowhere' does not appear to be"):
        fetch(Commands(root), "nowhere")


@pytest.mark.usefixtures("remote")
def test_an_address_is_no_remote_and_its_login_is_not_shown(root: Path) -> None:
    check_remote(root, "origin")
    for address in ("https://KEY:do-not-print-me@host/x", "/folder", "--all", ""):
        with pytest.raises(UserError, match=r"as `git remote` prints it \(origin\)") as told:
            check_remote(root, address)
        assert "do-not-print-me" not in str(told.value)
