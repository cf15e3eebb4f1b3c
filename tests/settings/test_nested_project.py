"""A project inside another takes presets and catalogue from it, and has its own parameters."""

from pathlib import Path

import pytest

from chimle.data.fetch.catalogue import read_catalogue
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import listed_tasks, load_settings
from chimle.settings.run import RunSettings
from tests.support.helpers import ROOT


def test_the_showcase_has_the_presets_of_the_repository() -> None:
    for task in listed_tasks(ROOT / "showcase"):
        settings = load_settings(ModelSettings, task, ROOT / "showcase")
        assert settings.preset == "showcase"
        assert settings.tower.resolution == 128


def test_its_sources_are_in_the_catalogue() -> None:
    entries = read_catalogue(ROOT / "showcase")
    for task in listed_tasks(ROOT / "showcase"):
        source = load_settings(RunSettings, task, ROOT / "showcase").source
        assert source.kind == "catalogue"
        assert entries[source.name].task == task


def test_a_folder_of_presets_of_its_own_comes_first(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    for folder, rate in ((tmp_path, "0.1"), (inner, "0.2")):
        (folder / "presets").mkdir(parents=True)
        (folder / "presets" / "mine.yaml").write_text(f"train: {{learning_rate: {rate}}}\n")
    (inner / "params.yaml").write_text("preset: mine\ntasks: {colourization: {}}\n")
    own = load_settings(ModelSettings, "colourization", inner)
    assert own.train.learning_rate == 0.2
    (inner / "presets" / "mine.yaml").rename(tmp_path / "presets" / "other.yaml")
    with pytest.raises(UserError, match="unknown preset 'mine'"):
        load_settings(ModelSettings, "colourization", inner)
