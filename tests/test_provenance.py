"""Provenance names a commit only where Git holds it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chimle import provenance
from chimle.provenance import commit


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the program, then a file beside it."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for name in ("program.py", "notes.txt"):
        (folder / name).write_text("")
        git(folder, "add", name)
        git(folder, "commit", "--quiet", "-m", name)
    return folder


def commit_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    monkeypatch.setattr(provenance, "ROOT", folder)
    monkeypatch.setattr(provenance, "import_closure", lambda _: ["program.py"])
    return commit(folder / "program.py")


def test_a_full_clone_names_the_commit_of_the_program(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = git(repository, "rev-parse", "HEAD~1")
    assert commit_in(monkeypatch, repository) == own
    (repository / "program.py").write_text("pass\n")
    assert commit_in(monkeypatch, repository) == own + "+changes"


def test_a_hook_of_another_repository_changes_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git names the repository of a hook in the hook's environment."""
    own = git(repository, "rev-parse", "HEAD~1")
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert commit_in(monkeypatch, repository) == own


def test_a_signature_that_git_shows_is_no_part_of_a_commit_s_name(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = tmp_path / "gpg"
    signature = "-----BEGIN PGP SIGNATURE-----\\n-----END PGP SIGNATURE-----\\n"
    says = f"printf '\\n[GNUPG:] SIG_CREATED \\n' >&2; printf '%b' '{signature}'"
    signs.write_text(f"#!/bin/sh\ncat >/dev/null\n{says}\n")
    signs.chmod(0o755)
    for name, value in {"gpg.program": str(signs), "log.showSignature": "true"}.items():
        git(repository, "config", name, value)
    (repository / "program.py").write_text("pass\n")
    git(repository, "commit", "--quiet", "--all", "--gpg-sign", "-m", "signed")
    assert git(repository, "log", "-1", "--format=%H") != git(repository, "rev-parse", "HEAD")
    assert commit_in(monkeypatch, repository) == git(repository, "rev-parse", "HEAD")


def test_a_shallow_clone_does_not_know(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
    assert commit_in(monkeypatch, clone) == "unknown"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_clone_of_another_owner_is_not_trusted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (repository, *repository.rglob("*")):
        shutil.chown(path, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert commit_in(monkeypatch, repository) == "unknown"
