"""Record of the files of weights that settings name: it is another one where their content is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chimle.bundles.weights_record import write_weights_record
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from stages import check
from tests.support.projects import write_project

TASK = "colourization"


def settings_of(root: Path, weights: str = "official", start: str = "scratch") -> ModelSettings:
    sections: dict[str, Any] = {"perceptual": {"weights": weights}, "train": {"start": start}}
    write_project(root, {TASK: sections})
    return load_settings(ModelSettings, TASK, root)


def record(root: Path) -> Any:
    return json.loads((root / "data" / "weights" / f"{TASK}.json").read_text())


def test_new_content_under_the_same_name_is_seen(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "vgg.pth", "mine")
    (tmp_path / "mine").mkdir()
    places = {"perceptual": tmp_path / "vgg.pth", "start": tmp_path / "mine" / "model"}
    for place in places.values():
        place.write_text("one")
    assert write_weights_record(settings, tmp_path)
    for setting, place in places.items():
        before = record(tmp_path)
        assert not write_weights_record(settings, tmp_path)
        place.write_text("another")
        assert write_weights_record(settings, tmp_path)
        assert {name for name in before if before[name] != record(tmp_path)[name]} == {setting}


def test_what_is_not_on_this_machine_keeps_its_entry(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "vgg.pth", "mine.zip")
    assert not write_weights_record(settings, tmp_path)
    for name in ("vgg.pth", "mine.zip"):
        (tmp_path / name).write_text(name)
    assert write_weights_record(settings, tmp_path)
    before = record(tmp_path)
    shutil.rmtree(tmp_path / "scratch")
    for name in ("vgg.pth", "mine.zip"):
        (tmp_path / name).unlink()
    assert not write_weights_record(settings, tmp_path)
    assert record(tmp_path) == before
    assert not write_weights_record(settings_of(tmp_path, "alex.pth"), tmp_path)
    assert record(tmp_path) == {"perceptual": {}, "start": {}}


@pytest.mark.parametrize("damaged", ["{", "[]", '{"perceptual": 3}'])
def test_a_damaged_record_is_written_again(tmp_path: Path, damaged: str) -> None:
    settings = settings_of(tmp_path, "random", "pretrained")
    write_weights_record(settings, tmp_path)
    assert list(record(tmp_path)["start"]) == ["pretrained"]
    good = record(tmp_path)
    (tmp_path / "data" / "weights" / f"{TASK}.json").write_text(damaged)
    assert write_weights_record(settings, tmp_path)
    assert record(tmp_path) == good


def test_a_check_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings_of(tmp_path, "vgg.pth")
    settings = load_settings(RunSettings, TASK, tmp_path)
    for content in ("one", "another"):
        (tmp_path / "vgg.pth").write_text(content)
        check.main(settings, tmp_path)
        words = "files of weights are new or have changed; `dvc repro` trains anew"
        assert words in capsys.readouterr().out
        check.main(settings, tmp_path)
        assert capsys.readouterr().out == ""
