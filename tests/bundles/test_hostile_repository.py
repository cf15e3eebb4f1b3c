"""Git repositories of others that attack: nothing of theirs runs, and nothing leaves its folder."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import chimle
from chimle.errors import UserError
from tests.support.model_repository import TASK
from tests.support.model_repository import copy as copy
from tests.support.model_repository import good as good
from tests.support.projects import tiny_bundle
from tests.support.repositories import commit, run

Hostile = Callable[[Path, str], None]


def credentials(root: Path, command: str) -> None:
    (root / "aws").write_text(f"[default]\ncredential_process = {command}\n")
    run(root, "dvc", "remote", "add", "-f", "-d", "evil", "s3://bucket/x")
    run(root, "dvc", "remote", "modify", "evil", "configpath", str(root / "aws"))
    run(root, "dvc", "remote", "modify", "evil", "endpointurl", "http://127.0.0.1:9")


def local_credentials(root: Path, command: str) -> None:
    credentials(root, command)
    shutil.copy(root / ".dvc" / "config", root / ".dvc" / "config.local")
    run(root, "git", "add", "-f", ".dvc/config.local")


def git_configuration(root: Path, command: str) -> None:
    for key in ("core.fsmonitor", "core.sshCommand", "filter.evil.smudge"):
        run(root, "git", "config", key, command)
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\n{command}\n")
    hook.chmod(0o755)


def dvc_get(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dvc", "get", "-o", str(tmp_path / "out"), str(root)]
    subprocess.run([*command, f"models/{TASK}"], capture_output=True, check=False)


@pytest.mark.parametrize("hostile", [credentials, local_credentials])
def test_credentials_of_a_repository_run_nothing(
    copy: Path, tmp_path: Path, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    mark = tmp_path / "it-ran"
    hostile(copy, f"touch {mark}")
    commit(copy, "hostile")
    with pytest.raises(UserError, match="remote `evil`, s3://bucket/x") as caught:
        chimle.load(f"git+{copy}@HEAD:models/{TASK}")
    assert not mark.exists()
    assert "support" not in str(caught.value)
    if hostile is credentials:
        # DVC alone does run it: the attack is one.
        dvc_get(copy, tmp_path)
        assert mark.exists()


@pytest.mark.parametrize("odd", ["", "meta:\n  ? [a]\n  : b\n"], ids=["plain", "only for DVC"])
def test_an_import_of_another_repository_is_not_followed(good: Path, copy: Path, odd: str) -> None:
    """Not even from a file that only DVC's own reader can read."""
    head = run(good, "git", "rev-parse", "HEAD").strip()
    path = copy / "models" / f"{TASK}.dvc"
    source = {"path": f"models/{TASK}", "repo": {"url": str(good), "rev_lock": head}}
    path.write_text(f"{odd}frozen: true\ndeps: [{json.dumps(source)}]\n{path.read_text()}")
    run(copy, "dvc", "remote", "remove", "store")
    commit(copy, "an import")
    dvc_get(copy, copy.parent)
    assert (copy.parent / "out" / "bundle.json").exists()  # The attack is one.
    with pytest.raises(UserError, match="cannot be read"):
        chimle.load(f"git+{copy.as_uri()}@HEAD:models/{TASK}")


def test_git_configuration_of_a_repository_runs_nothing(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    (copy / ".gitattributes").write_text("* filter=evil\n")
    commit(copy, "hostile")
    git_configuration(copy, f"touch {mark}")
    assert chimle.load(f"git+{copy}@HEAD:models/{TASK}").levels == 4
    assert not mark.exists()
    run(copy, "git", "status")
    assert mark.exists(), "Git alone does run it: the attack is one"


def test_a_list_of_files_that_leads_out_of_its_folder_is_refused(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC reads the names of a folder's files from the remote, which its owner writes."""
    tiny_bundle(copy / "models" / "other", TASK)
    run(copy, "dvc", "add", "-q", "models/other")
    (listing,) = (copy / ".dvc" / "cache").rglob("*.dir")
    files = json.loads(listing.read_text())
    files.append({**files[0], "relpath": "../../../outside"})
    text = json.dumps(sorted(files, key=lambda file: str(file["relpath"])))
    before, after = (hashlib.md5(t.encode()).hexdigest() for t in (listing.read_text(), text))
    place = listing.parents[1] / after[:2] / f"{after[2:]}.dir"
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    named = copy / "models" / "other.dvc"
    named.write_text(named.read_text().replace(before, after).replace("nfiles: 2", "nfiles: 3"))
    commit(copy, "hostile")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a" / "b"))
    with pytest.raises(UserError, match="cannot be read"):
        chimle.load(f"git+{copy}@HEAD:models/other")
    assert not list(tmp_path.rglob("outside"))


def test_a_repository_that_the_environment_names_is_left_alone(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of Git, whose variables would win over the folder of the clone."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("a")
    run(other, "git", "init", "-q", "-b", "main")
    commit(other, "own work")

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}

    before = files()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert chimle.load(f"git+{good}@HEAD:models/{TASK}").levels == 4
    assert files() == before


@pytest.mark.parametrize("target", ["/etc", "../..", "here/../../.."])
def test_a_link_that_leaves_the_repository_is_refused(copy: Path, target: str) -> None:
    (copy / "here").symlink_to(".")
    (copy / "link").symlink_to(target)
    commit(copy, "a link")
    with pytest.raises(UserError, match="link is a symbolic link that leaves the repository"):
        chimle.load(f"git+{copy}@HEAD:models/{TASK}")


def test_a_loop_of_links_is_refused(copy: Path) -> None:
    (copy / "loop").symlink_to("loop")
    commit(copy, "a loop")
    with pytest.raises(UserError, match="loop is a loop of symbolic links"):
        chimle.load(f"git+{copy}@HEAD:models/{TASK}")


def test_an_address_starts_no_command(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    for repository in (f"--upload-pack=touch {mark}", f"ext::sh -c touch% {mark}"):
        with pytest.raises(UserError, match="is not the address of a Git repository"):
            chimle.load(f"git+{repository}@HEAD:models/x")
    assert not mark.exists()
