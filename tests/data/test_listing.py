"""Lists of images: their names and extensions, and what is recorded of them."""

import json
from pathlib import Path

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.data.fetch.source_record import source_record
from chimle.errors import UserError
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from tests.support.misbehaving import Site
from tests.support.projects import write_project
from tests.support.world import TASK, png


def settings_of(root: Path, *rows: str) -> RunSettings:
    """A task's, whose source is a list of these rows."""
    (root / "list.csv").write_text("\n".join(["name,address", *rows]) + "\n")
    listing = {"file": "list.csv", "name_column": "name", "address_column": "address"}
    write_project(root, {TASK: {"source": {"kind": "url", "listing": listing, "retries": 0}}})
    return load_settings(RunSettings, TASK, root)


def fetched(root: Path, *rows: str) -> list[str]:
    """Fetch a list; the names of its images."""
    fetch(settings_of(root, *rows), root, root / "raw")
    return sorted(path.name for path in (root / "raw" / "targets").iterdir())


def test_an_address_without_the_extension_of_an_image_is_enough(site: Site, tmp_path: Path) -> None:
    addresses = [site.put(path, png()) for path in ("/photo-15", "/show.php", "/a.JPG")]
    rows = [f"{name},{address}?size=9" for name, address in zip("abc", addresses, strict=True)]
    assert fetched(tmp_path, *rows) == ["a.png", "b.png", "c.jpg"]


def test_a_page_in_place_of_an_image_is_not_recorded(site: Site, tmp_path: Path) -> None:
    """Otherwise the image, once it is there, would not be the file that was recorded."""
    address, checksums = site.put("/a.png", b"<html>busy</html>"), tmp_path / "data/checksums.json"
    with pytest.raises(UserError, match="is damaged or no image"):
        fetched(tmp_path, f"a,{address}")
    assert not checksums.exists()
    site.put("/a.png", png(), etag='"two"')
    assert fetched(tmp_path, f"a,{address}") == ["a.png"]
    assert list(json.loads(checksums.read_text())) == [address]


def test_only_the_extension_of_an_image_is_no_part_of_a_name(site: Site, tmp_path: Path) -> None:
    address = site.put("/a.png", png())
    names = ("2021.05.03", "2021.05.04", "v1.jpg", "v2.TIF", "v3.nef")
    found = fetched(tmp_path, *(f"{name},{address}?{name}" for name in names))
    assert found == ["2021.05.03.png", "2021.05.04.png", "v1.png", "v2.png", "v3.png"]


def test_names_that_differ_in_case_are_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "a,http://nowhere.invalid/a.png", "A,b.png")
    with pytest.raises(UserError, match=r"line 3: A is there beside a, the same but for case"):
        source_record(settings, tmp_path)
