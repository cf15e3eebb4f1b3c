"""Work trees of their own: shared cache, the user's checkout untouched, none left behind."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chimle.errors import UserError
from flows.command import environment
from flows.worktrees import (
    ask_dvc,
    cache_folder,
    remove_orphaned,
    set_default_remote,
    work_tree,
)
from tests.support.repositories import commit, run, stages_run, tiny_repository


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_repository(tmp_path / "project")


def trees(root: Path) -> int:
    return len(run(root, "git", "worktree", "list").splitlines()) - 1


def test_a_tree_shares_cache_and_resume_state_and_goes(root: Path) -> None:
    (root / "params.yaml").write_text("unfinished work of the user")
    (root / ".dvc" / "config.local").write_text("[core]\n    remote = mine\n")
    with work_tree(root, "one", "HEAD") as tree, work_tree(root, "two", "HEAD") as other:
        assert trees(root) == 2
        assert tree.path != other.path
        assert "preset: demo" in (tree.path / "params.yaml").read_text()
        cache = Path(ask_dvc(tree.path, "cache", "dir"))
        assert (tree.path / ".dvc" / cache).resolve() == (root / ".dvc" / "cache").resolve()
        assert ask_dvc(tree.path, "config", "core.remote") == "mine"
        (tree.path / "scratch" / "train" / "state").write_text("kept")
    assert (root / "scratch" / "train" / "state").read_text() == "kept"
    assert trees(root) == 0
    assert (root / "params.yaml").read_text() == "unfinished work of the user"


@pytest.mark.parametrize("name", ["früh", "a, b", "it's #1", '"x"', "100% = [y]"])
def test_a_checkout_may_lie_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    run(root, "git", "init", "-q")
    run(root, "dvc", "init", "-q")
    run(root, "dvc", "remote", "add", "store", "../../store")
    (root / ".dvc" / "config.local").write_text("[core]\n    analytics = true\n")
    commit(root, "start")
    with work_tree(root, "one", "HEAD") as tree:
        set_default_remote(tree.path, "store")
        cache = Path(ask_dvc(tree.path, "cache", "dir"))
        assert (tree.path / ".dvc" / cache).resolve() == (root / ".dvc" / "cache").resolve()
        assert ask_dvc(tree.path, "config", "core.remote") == "store"
        assert ask_dvc(tree.path, "config", "core.analytics") == "true"


def test_what_dvc_takes_for_the_name_of_a_setting_is_one_sentence(tmp_path: Path) -> None:
    """A folder's name that it cannot read, and a value that the user has written so."""
    (root := tmp_path / "50%(x)s").mkdir()
    run(root, "git", "init", "-q")
    run(root, "dvc", "init", "-q")
    commit(root, "start")
    words = r"DVC takes `%\(x\)s` in .*/50%\(x\)s/\.dvc/cache for the name of a setting: rename it"
    with pytest.raises(UserError, match=words), work_tree(root, "one", "HEAD"):
        pass
    (root / ".dvc" / "config.local").write_text("[cache]\n    dir = /tmp/%(y)s\n")
    with pytest.raises(UserError, match=r'^DVC\'s configuration in .*"y" in interpolation'):
        cache_folder(root)
    assert trees(root) == 0


def test_the_user_s_own_images_and_weights_are_there(root: Path) -> None:
    (root / "data" / "mine" / "a").mkdir(parents=True)
    (root / "weights.pt").write_text("weights")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["tasks"]["colourization"]["source"] = {"kind": "folder", "path": "data/mine/*/x"}
    params["tasks"]["colourization"]["perceptual"] = {"weights": "weights.pt"}
    params["tasks"]["colourization"]["train"] = {"start": "kept/flowers.zip"}
    params["tasks"]["decompression"]["train"] = {"start": "scratch"}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "kept").mkdir()
    for name in ("kept/flowers.zip", "inception.pt", "vgg.pt"):
        (root / name).write_text(name)
    preset = yaml.safe_load((root / "presets" / "demo.yaml").read_text())
    preset["evaluate"] = {"inception": "inception.pt"}
    preset["tasks"]["night_to_day"]["perceptual"] = {"weights": "vgg.pt"}
    (root / "presets" / "demo.yaml").write_text(yaml.safe_dump(preset))
    run(root, "git", "add", "params.yaml", "presets")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-qm", "mine")
    with work_tree(root, "one", "HEAD") as tree:
        assert (tree.path / "data" / "mine" / "a").is_dir()
        assert (tree.path / "weights.pt").read_text() == "weights"
        for name in ("kept/flowers.zip", "inception.pt", "vgg.pt"):
            assert (tree.path / name).read_text() == name
        assert not (tree.path / "scratch").is_symlink()
    assert (root / "weights.pt").exists()
    assert (root / "data" / "mine" / "a").is_dir()


def test_trees_of_the_living_stay_and_those_of_the_dead_go(root: Path) -> None:
    dead = (
        "import os, pathlib, sys\nfrom flows.worktrees import work_tree\n"
        f"with work_tree(pathlib.Path({str(root)!r}), 'dead', 'HEAD'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", dead], check=False)
    with work_tree(root, "living", "HEAD") as tree:
        assert trees(root) == 2
        gone = remove_orphaned(root)
        assert [path.name for path in gone] == ["dead"]
        assert trees(root) == 1
        assert tree.path.exists()
        with pytest.raises(UserError, match="in use"), work_tree(root, "living", "HEAD"):
            pass
        assert tree.path.exists()
    assert trees(root) == 0
    assert not list((root / "scratch" / "work-trees").glob("[!.]*"))


def test_a_remote_becomes_the_default_of_a_tree_alone(root: Path) -> None:
    run(root, "dvc", "remote", "add", "--local", "store", "s3://bucket/a")
    run(root, "dvc", "cache", "dir", "--local", "elsewhere")
    with work_tree(root, "one", "HEAD") as tree:
        set_default_remote(tree.path, "store")
        assert ask_dvc(tree.path, "config", "core.remote") == "store"
        assert Path(ask_dvc(tree.path, "cache", "dir")).resolve() == root / "elsewhere"
        with pytest.raises(UserError, match="DVC has no remote `shop`"):
            set_default_remote(tree.path, "shop")
    assert run(root, "dvc", "config", "core.remote", check=False) == ""
    (root / ".dvc" / "config.local").write_text("[remote")
    with pytest.raises(UserError, match="DVC's configuration"), work_tree(root, "two", "HEAD"):
        pass
    assert trees(root) == 0


def test_the_user_s_hooks_do_not_run_in_a_tree(root: Path) -> None:
    """That of `dvc install` fails where the cache lacks an output, and Git then does."""
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    hook.chmod(0o755)
    with work_tree(root, "one", "HEAD") as tree:
        assert (tree.path / "params.yaml").exists()
        assert not (tree.path / "ran").exists()


def test_a_tree_is_of_its_project_within_a_hook_of_another_repository(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git names the repository of a hook in the hook's environment, for all that it starts."""
    run(tmp_path, "git", "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    with work_tree(root, "one", "HEAD") as tree:
        assert (tree.path / "params.yaml").exists()
        assert "GIT_DIR" not in environment()


def test_an_unknown_revision_is_a_sentence_and_leaves_nothing(root: Path) -> None:
    with pytest.raises(UserError, match="git worktree"), work_tree(root, "one", "nowhere"):
        pass
    assert trees(root) == 0


def test_results_of_a_tree_are_restored_in_another(root: Path) -> None:
    with work_tree(root, "one", "HEAD") as tree:
        run(tree.path, "dvc", "repro", "pair@colourization")
    with work_tree(root, "two", "HEAD") as tree:
        output = run(tree.path, "dvc", "repro", "pair@colourization")
    assert not stages_run(output)
    assert "is cached" in output
