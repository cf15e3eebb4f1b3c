"""The catalogue of data sets: every entry is valid, and what is missing is said."""

from pathlib import Path

import pytest
import yaml

from chimle.data.catalogue import FILE, read_catalogue, resolve
from chimle.errors import UserError
from chimle.settings import CatalogueSource, RunSettings, build_settings
from chimle.tasks import TASKS
from tests.helpers import ROOT

ENTRIES = read_catalogue(ROOT)


def named(name: str) -> CatalogueSource:
    return CatalogueSource(kind="catalogue", name=name)


def project(root: Path) -> Path:
    (root / "data").mkdir()
    (root / FILE).write_text((ROOT / FILE).read_text())
    return root


def settings_of(name: str) -> RunSettings:
    """Settings of a task that reads a data set, as the catalogue recommends."""
    entry = ENTRIES[name]
    values = {"task": entry.task, "preset": "test", "source": {"kind": "catalogue", "name": name}}
    return build_settings({**values, **entry.params}, "test")


def test_every_task_has_the_papers_data_and_a_stand_in() -> None:
    for task in TASKS:
        kinds = {entry.in_paper for entry in ENTRIES.values() if entry.task == task}
        assert kinds == {True, False}, task


@pytest.mark.parametrize("name", ENTRIES)
def test_recommended_parameters_are_valid(name: str) -> None:
    assert settings_of(name).source == named(name)


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_to_be_done_by_hand_is_said_until_it_is_done(tmp_path: Path, name: str) -> None:
    root, entry = project(tmp_path), ENTRIES[name]
    missing = entry.missing(root)
    assert bool(missing) == bool(entry.by_hand)
    if not missing:
        assert resolve(named(name), root) == entry.source
        return
    with pytest.raises(UserError) as caught:
        resolve(named(name), root)
    said = str(caught.value)
    assert all(file in said for file in missing)
    assert entry.by_hand in said and entry.licence in said and "\n" not in said
    for file in missing:
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).touch()
    assert resolve(named(name), root) == entry.source


def test_unknown_and_malformed_entries_are_named(tmp_path: Path) -> None:
    root = project(tmp_path)
    with pytest.raises(UserError, match="has no data set `imagenet`: it has bsds500,"):
        resolve(named("imagenet"), root)
    content = yaml.safe_load((root / FILE).read_text())
    del content["bsds500"]["licence"]
    (root / FILE).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"catalogue\.yaml: bsds500: `licence`: Field required"):
        resolve(named("bsds500"), root)
