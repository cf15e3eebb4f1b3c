"""Lists of images: their names and extensions, and what is recorded of them."""

import json
from pathlib import Path

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.data.fetch.source_record import source_record
from chimle.data.fetch.sources.listing import MOST_FAILURES
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


def test_all_images_that_cannot_be_fetched_are_named_and_the_others_kept(
    site: Site, tmp_path: Path
) -> None:
    good = [site.put(f"/{name}.png", png()) for name in "abc"]
    rows = [
        f"a,{good[0]}",
        f"x,{site.address}/gone.png",
        f"b,{good[1]}",
        "y,missing.png",
        f"c,{good[2]}",
    ]
    with pytest.raises(UserError) as error:
        fetched(tmp_path, *rows)
    message = str(error.value)
    assert message.startswith("2 images of list.csv cannot be fetched, what can be is kept: ")
    assert "/gone.png cannot be fetched (the server answers 404 Not Found)" in message
    assert "fix its address in `address` of list.csv; `address` of list.csv: " in message
    assert message.endswith("missing.png does not exist")
    before = [len(site.gets(f"/{name}.png")) for name in "abc"]
    assert fetched(tmp_path, rows[0], rows[2], rows[4]) == ["a.png", "b.png", "c.png"]
    assert [len(site.gets(f"/{name}.png")) for name in "abc"] == before == [1, 1, 1]


def test_a_list_whose_server_is_gone_is_given_up(site: Site, tmp_path: Path) -> None:
    rows = [f"{number},{site.address}/{number}.png" for number in range(MOST_FAILURES + 3)]
    with pytest.raises(UserError, match=f"^at least {MOST_FAILURES} images of list.csv") as error:
        fetched(tmp_path, *rows)
    assert f"/{MOST_FAILURES}.png" not in str(error.value)
