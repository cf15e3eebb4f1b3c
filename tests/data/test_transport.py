"""How files arrive over HTTP, on good ways and bad, and what is recorded of them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.errors import UserError
from chimle.io import download
from chimle.io.download import Download, DownloadSpec
from chimle.io.files import sha256_of
from chimle.io.http import HttpFile
from chimle.io.versions import Version
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from tests.support.fetched import ARCHIVE, PHOTOS, check, fetched
from tests.support.misbehaving import Site
from tests.support.projects import write_project
from tests.support.world import World, tar

WISH = DownloadSpec(None, "", Version(), 10**9)


def test_a_broken_download_is_continued(world: World) -> None:
    world.serve(ARCHIVE, cuts=[5000, 3000])
    assert fetched(world) == dict(PHOTOS)
    assert [one.start for one in world.site.gets("/a.tar")] == [None, 5000, 8000]


@pytest.mark.parametrize(
    "behaviour", [{"ranges": False}, {"wrong_part": True}, {"etag": None}, {"etag": 'W/"weak"'}]
)
def test_it_starts_anew_where_parts_cannot_be_trusted(
    world: World, behaviour: dict[str, Any]
) -> None:
    world.serve(ARCHIVE, cuts=[5000], **behaviour)
    assert fetched(world) == dict(PHOTOS)


def test_the_time_of_change_will_do_for_parts(world: World) -> None:
    when = "Mon, 02 Nov 2026 10:00:00 GMT"
    world.serve(ARCHIVE, cuts=[5000], etag='W/"weak"', modified=when)
    assert fetched(world) == dict(PHOTOS)
    assert [one.start for one in world.site.gets("/a.tar")] == [None, 5000]


def test_a_file_that_changed_is_not_continued(site: Site, tmp_path: Path) -> None:
    address = site.put("/a", b"old " * 4000, cuts=[5000], turns_into=b"new " * 3000)
    file = Download(HttpFile(address, 10, "`source.archives`"), tmp_path / "a", retries=0)
    with pytest.raises(UserError, match="broke off"):
        file.fetch(WISH)
    file.fetch(WISH)
    assert (tmp_path / "a").read_bytes() == b"new " * 3000


def test_a_part_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    address = site.put("/a", b"new " * 1000)
    (tmp_path / "a.part").write_bytes(b"x" * 9999)
    (tmp_path / "a.part.json").write_text('{"etag": "\\"one\\"", "size": 20000}')
    Download(HttpFile(address, 10, "`source.archives`"), tmp_path / "a", retries=0).fetch(WISH)
    assert (tmp_path / "a").read_bytes() == b"new " * 1000
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.json", "a.lock"}


def test_a_damaged_part_costs_a_second_download_only(site: Site, tmp_path: Path) -> None:
    content = b"good" * 1000
    address = site.put("/a", content)
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    (tmp_path / "a.part.json").write_text('{"etag": "\\"one\\"", "size": 4000}')
    (tmp_path / "true").write_bytes(content)
    wish = DownloadSpec(sha256_of(tmp_path / "true"), "a test says", Version(), 10**9)
    Download(HttpFile(address, 10, "`source.archives`"), tmp_path / "a", retries=0).fetch(wish)
    assert (tmp_path / "a").read_bytes() == content


def test_stalls_are_survived_as_long_as_something_comes(world: World) -> None:
    address = world.site.put("/a.tar", ARCHIVE, stalls_after=4096, chunk=4096)
    world.url(address, timeout_seconds=1, retries=1)
    assert fetched(world) == dict(PHOTOS)


def test_failures_that_pass_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    monkeypatch.setattr(download, "time", clock)
    monkeypatch.setattr(download, "FIRST_PAUSE", 1.0)
    address = world.site.put("/a.tar", ARCHIVE, statuses=[503, 500, 429, 502], retry_after="3")
    world.url(address, retries=4)
    assert fetched(world) == dict(PHOTOS)
    assert pauses == [3, 3, 4, 8]


@pytest.mark.parametrize("behaviour", [{"head": False}, {"length": 0}, {"etag": None}])
def test_servers_may_be_simple(world: World, behaviour: dict[str, Any]) -> None:
    world.serve(ARCHIVE, **behaviour)
    first = check(world)
    assert fetched(world) == dict(PHOTOS)
    assert check(world) == first


def test_redirects_are_followed_but_never_to_plain_http(world: World) -> None:
    world.site.put("/b.tar", ARCHIVE)
    world.serve(redirect="/b.tar")
    assert fetched(world) == dict(PHOTOS)
    with pytest.raises(UserError, match="from https to http"):
        HttpFile("https://a.org/x", 1, "`source.archives`")._redirect_target(
            "https://a.org/x", "http://a.org/x"
        )


def test_four_tasks_fetch_one_archive_once(world: World) -> None:
    address = world.serve(ARCHIVE)
    tasks = ("super_resolution", "colourization", "decompression", "night_to_day")
    source = {"source": {"kind": "url", "archives": [address]}}
    write_project(world.root, dict.fromkeys(tasks, source))
    for task in tasks:
        fetch(
            load_settings(RunSettings, task, world.root),
            world.root,
            world.root / "data" / "raw" / task,
        )
    assert len(world.site.gets("/a.tar")) == 1


def test_two_at_once_fetch_it_once(site: Site, tmp_path: Path) -> None:
    address = site.put("/a", ARCHIVE, pause=0.02, chunk=4096)

    def run(_: int) -> str:
        return (
            Download(HttpFile(address, 10, "`source.archives`"), tmp_path / "a", 0)
            .fetch(wish)
            .sha256
        )

    wish = DownloadSpec(None, "", Version(etag='"one"'), 10**9)
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(run, range(2)))) == 1
    assert len(site.gets("/a")) == 1


def test_what_was_seen_first_holds(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    address = world.serve(ARCHIVE)
    first = check(world)
    fetched(world)
    assert check(world) == first
    world.site.put("/a.tar", statuses=[503] * 9)
    assert check(world) == first
    assert "warning: " in capsys.readouterr().err
    world.site.put("/a.tar", tar(PHOTOS[0]), etag='"two"')
    with pytest.raises(UserError, match="has changed since it was first fetched"):
        check(world)
    with pytest.raises(UserError, match="has changed since it was first fetched"):
        fetched(world)
    assert check(world, accept=True) != first
    assert fetched(world) == dict(PHOTOS[:1])
    assert list(json.loads((world.root / "data" / "checksums.json").read_text())) == [address]


def test_a_file_of_this_machine_is_held_to_its_content(world: World) -> None:
    world.archive(ARCHIVE)
    first = check(world)
    fetched(world)
    world.archive(ARCHIVE)
    assert check(world) == first
    world.archive(tar(PHOTOS[0]))
    with pytest.raises(UserError, match="has changed since it was first used"):
        check(world)
    check(world, accept=True)
    assert fetched(world) == dict(PHOTOS[:1])


def test_a_named_sha256_needs_no_server_once_it_is_here(world: World) -> None:
    address = world.serve(ARCHIVE)
    (world.root / "a").write_bytes(ARCHIVE)
    world.source("url", archives=[{"address": address, "sha256": sha256_of(world.root / "a")}])
    first = check(world)
    fetched(world)
    del world.site.paths["/a.tar"]
    assert check(world) == first
    assert fetched(world) == dict(PHOTOS)
