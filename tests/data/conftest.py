"""What tests of arriving data share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.data.pair.make_pairs import make_pairs
from chimle.io import download
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from tests.support.misbehaving import Site, misbehaving_server
from tests.support.projects import write_photographs, write_project
from tests.support.servers import CREDENTIALS, s3_server
from tests.support.world import TASK, World, png


@pytest.fixture
def site() -> Iterator[Site]:
    with misbehaving_server() as running:
        yield running


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with fetched images, pairs and a model's place."""
    root = tmp_path_factory.mktemp("good")
    write_photographs(root / "given")
    (root / "given" / "good.png").write_bytes(png())
    write_project(root, {TASK: {"source": {"kind": "folder", "path": "given"}}})
    settings, raw = load_settings(RunSettings, TASK, root), root / "data" / "raw" / TASK
    fetch(settings, root, raw)
    make_pairs(settings, raw, root / "data" / "pairs" / TASK, root / "scratch")
    (root / "models" / TASK).mkdir(parents=True)
    (root / "models" / TASK / "model.json").write_text("good")
    shutil.rmtree(root / "scratch")
    return root


@pytest.fixture
def world(
    good: Path, tmp_path: Path, site: Site, s3: str, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A copy of the good project, servers beside it, and no patience."""
    root = tmp_path / "project"
    shutil.copytree(good, root)
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    return World(root, site, s3, monkeypatch)
