"""Bundles in Git repositories of others: what is read, and the messages where that fails."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import chimle
from chimle.bundles import git_repository
from chimle.errors import UserError
from tests.support.model_repository import TASK
from tests.support.model_repository import copy as copy
from tests.support.model_repository import good as good
from tests.support.projects import tiny_bundle
from tests.support.repositories import commit, run


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


@pytest.mark.parametrize("name", [".dvc/config.d/x", "sub/.dvc/config/x", "other/deep.dvc"])
def test_odd_files_of_dvc_s_are_no_obstacle(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_text("outs: " + "[" * 5000)
    run(copy, "git", "add", "-f", name)
    commit(copy, "odd")
    assert chimle.load(f"git+{copy.as_uri()}@HEAD:models/{TASK}").levels == 4


def test_a_remote_that_dvc_takes_for_the_name_of_a_setting_is_named(copy: Path) -> None:
    """Of a remote that is not used, it is no obstacle."""
    config = copy / ".dvc" / "config"
    text = config.read_text()
    other = "['remote \"other\"']\n    url = s3://bucket/%(x)s\n"
    config.write_text(text + other)
    commit(copy, "another remote")
    assert chimle.load(f"git+{copy.as_uri()}@HEAD:models/{TASK}").levels == 4
    config.write_text(text.replace("remote = store", "remote = other") + other)
    commit(copy, "the other remote")
    words = r"cannot be read \(DVC takes `%\(x\)s` in s3://bucket/%\(x\)s for the name of a setting"
    with pytest.raises(UserError, match=words):
        chimle.load(f"git+{copy.as_uri()}@HEAD:models/{TASK}")


def test_a_file_in_place_of_dvc_s_folder_is_no_obstacle(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "project" / "model", TASK)
    run(tmp_path / "project", "git", "init", "-q")
    (tmp_path / "project" / ".dvc").write_text("")
    commit(tmp_path / "project", "a model")
    assert chimle.load(f"git+{tmp_path}/project@HEAD:model").levels == 4


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
