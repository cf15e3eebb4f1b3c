"""A Git repository of somebody else with a model that DVC tracks."""

import shutil
from pathlib import Path

import pytest

from tests.support.projects import tiny_bundle
from tests.support.repositories import commit, run

TASK = "night_to_day"


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
