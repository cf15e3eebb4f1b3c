"""Bundles in Git repositories of others: read, and nothing of theirs runs."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chimle
from chimle.bundles import git_repository
from chimle.errors import UserError
from tests.support.projects import tiny_bundle
from tests.support.repositories import commit, run

TASK = "night_to_day"
Hostile = Callable[[Path, str], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a bundle in a DVC remote, whose path is relative, and not in its cache."""
    root = tmp_path_factory.mktemp("good") / "project"
    tiny_bundle(root / "models" / TASK, TASK)
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    run(root, "dvc", "remote", "add", "-d", "store", str(root / ".." / "store"))
    run(root, "dvc", "add", "-q", f"models/{TASK}")
    run(root, "dvc", "push", "-q")
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(root / "models" / TASK)
    commit(root, "a model")
    return root


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    """The repository, to be changed."""
    run(tmp_path, "git", "clone", "-q", str(good), "project")
    root = tmp_path / "project"
    run(root, "dvc", "remote", "modify", "store", "url", str(good.parent / "store"))
    commit(root, "an absolute path")
    return root


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


def test_a_good_repository_is_read(good: Path, copy: Path) -> None:
    for repository in (str(good), str(copy), copy.as_uri()):
        assert chimle.load(f"git+{repository}@main:models/{TASK}").levels == 4


def test_a_checkout_of_this_machine_is_read_from_its_cache(copy: Path) -> None:
    tiny_bundle(copy / "models" / "other", TASK)
    run(copy, "dvc", "add", "-q", "models/other")
    commit(copy, "another model, in the cache alone")
    shutil.rmtree(copy / "models")
    run(copy, "dvc", "remote", "remove", "store")
    commit(copy, "no remote")
    assert chimle.load(f"git+{copy}@HEAD~1:models/other").levels == 4


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


def test_missing_credentials_are_named(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    run(copy, "dvc", "remote", "modify", "store", "url", "s3://bucket/x")
    run(copy, "dvc", "remote", "modify", "store", "endpointurl", "http://127.0.0.1:9")
    commit(copy, "a remote on S3")
    wanted = "from DVC remote `store`, s3://bucket/x .*credentials.*: set AWS_ACCESS_KEY_ID and"
    with pytest.raises(UserError, match=wanted):
        chimle.load(f"git+{copy}@HEAD:models/{TASK}")
    with pytest.raises(UserError, match=r"no credentials were found\): set AWS_ACCESS_KEY_ID and"):
        chimle.load("s3://bucket/x")


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


@pytest.mark.parametrize("name", [".dvc/config.d/x", "sub/.dvc/config/x", "other/deep.dvc"])
def test_odd_files_of_dvc_s_are_no_obstacle(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_text("outs: " + "[" * 5000)
    run(copy, "git", "add", "-f", name)
    commit(copy, "odd")
    assert chimle.load(f"git+{copy.as_uri()}@HEAD:models/{TASK}").levels == 4


def test_a_file_in_place_of_dvc_s_folder_is_no_obstacle(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "project" / "model", TASK)
    run(tmp_path / "project", "git", "init", "-q")
    (tmp_path / "project" / ".dvc").write_text("")
    commit(tmp_path / "project", "a model")
    assert chimle.load(f"git+{tmp_path}/project@HEAD:model").levels == 4


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


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """HOST:PORT of a server that takes connections and sends nothing; the limit is two seconds."""
    monkeypatch.setattr(git_repository, "LONGEST_SILENCE", 2.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "git", "ssh"])
def test_a_silent_server_is_given_up(silent_server: str, scheme: str) -> None:
    """The connection stands, since the system takes it; no answer ever comes."""
    with pytest.raises(UserError) as caught:
        chimle.load(f"git+{scheme}://{silent_server}/x@main:models/x")
    assert str(caught.value) == (
        f"models/x of {scheme}://{silent_server}/x at main cannot be read "
        "(git clone made no progress for 2 seconds: try again later)"
    )


def test_a_silent_remote_of_dvc_is_given_up(copy: Path, silent_server: str) -> None:
    run(copy, "dvc", "remote", "modify", "store", "url", f"http://user:secret@{silent_server}/x")
    commit(copy, "a remote that says nothing")
    with pytest.raises(UserError) as caught:
        chimle.load(f"git+{copy}@HEAD:models/{TASK}")
    assert str(caught.value).endswith(
        f"from DVC remote `store`, http://{silent_server}/x "
        "(dvc get made no progress for 2 seconds: try again later)"
    )


def test_the_user_s_own_command_of_ssh_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by a variable or in Git's configuration; it is asked once for each clone."""
    own = tmp_path / "own-ssh"
    own.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexit 1\n')
    own.chmod(0o755)
    configuration = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    for name in ("GIT_SSH", "GIT_SSH_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    for place in ("core.sshCommand", "GIT_SSH", "GIT_SSH_COMMAND"):
        with monkeypatch.context() as patch:
            configuration.write_text(f"[core]\nsshCommand = {own}\n" if "." in place else "")
            if "." not in place:
                patch.setenv(place, str(own))
            with pytest.raises(UserError, match="cannot be read"):
                chimle.load("git+ssh://nowhere.invalid/x@main:models/x")
        asked = (tmp_path / "asked").read_text()
        assert "nowhere.invalid" in asked
        assert "ServerAlive" not in asked
        (tmp_path / "asked").unlink()


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


def test_messages_name_what_is_wrong_and_no_password(good: Path, tmp_path: Path) -> None:
    for address, words in (
        (f"{tmp_path}@HEAD:models/x", "does not exist|not a git repository|not appear"),
        (f"{good}@v9:models/x", "there is no such revision"),
        (f"{good}@HEAD:models/x", "remote `store`, .*models/x"),
        ("http://user:secret@127.0.0.1:9/x@HEAD:models/x", "models/x of http://127.0.0.1:9/x at"),
        ("http://127.0.0.1:9/x?token=secret@HEAD:models/x", "models/x of http://127.0.0.1:9/x"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            chimle.load(f"git+{address}")
        assert "secret" not in str(caught.value)
        assert "dvc.org" not in str(caught.value)
        assert "chimle-" not in str(caught.value), "not the clone's path"


def test_a_damaged_bundle_is_named_by_its_address(tmp_path: Path) -> None:
    root = tmp_path / "project"
    tiny_bundle(root / "models" / TASK, TASK)
    (root / "models" / TASK / "bundle.json").write_text("{")
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    commit(root, "a model")
    address = f"git+{root}@main:models/{TASK}"
    with pytest.raises(UserError) as caught:
        chimle.load(address)
    assert str(caught.value).startswith(f"{address}/bundle.json is damaged")
