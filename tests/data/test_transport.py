"""How archives and objects arrive when nothing is wrong with them, on good ways and bad."""

import errno
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.data.fetch.sources import bucket
from chimle.data.fetch.unpacking import damage
from chimle.data.manifests import SOURCE, read_records
from chimle.errors import UserError
from chimle.io import download
from chimle.io.download import Download, DownloadSpec
from chimle.io.files import sha256_of
from chimle.io.http import HttpFile
from chimle.io.versions import Version
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from stages import check as check_stage
from tests.support.misbehaving import Site
from tests.support.projects import write_project
from tests.support.world import TASK, World, png, tar, zip_

PHOTOS = tuple((f"photos/{number}.png", png((40 + number, 40))) for number in range(6))
ARCHIVE = tar(*PHOTOS)
WISH = DownloadSpec(None, "", Version(), 10**9)


def fetched(world: World) -> dict[str, bytes]:
    """Fetch the task's source; names and bytes of its targets."""
    out = world.root / "data" / "raw" / TASK
    fetch(load_settings(RunSettings, TASK, world.root), world.root, out)
    targets = out / "targets"
    files = (path for path in targets.rglob("*") if path.is_file())
    return {path.relative_to(targets).as_posix(): path.read_bytes() for path in files}


def records(world: World) -> list[dict[str, Any]]:
    return list(read_records(world.root / "data" / "raw" / TASK, SOURCE))


def check(world: World, accept: bool = False) -> str:
    """What the check stage writes."""
    check_stage.main(load_settings(RunSettings, TASK, world.root), world.root, accept)
    return (world.root / "data" / "sources" / f"{TASK}.json").read_text()


@pytest.mark.parametrize(
    "content",
    [
        ARCHIVE,
        *(tar(*PHOTOS, mode=f"w:{kind}") for kind in ("gz", "bz2", "xz")),
        zip_(*PHOTOS),
        zip_(*PHOTOS, packed=False),
    ],
    ids=["tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "stored-zip"],
)
def test_what_an_archive_is_its_content_says(world: World, content: bytes) -> None:
    world.archive(content, "in/download")
    assert fetched(world) == dict(PHOTOS)


def test_what_was_unpacked_is_not_copied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.archive(ARCHIVE)
    monkeypatch.delattr("chimle.data.fetch.fetching.shutil.copyfile")
    assert fetched(world) == dict(PHOTOS)
    targets = world.root / "data" / "raw" / TASK / "targets"
    assert all(path.stat().st_nlink == 1 for path in targets.rglob("*.png"))


def test_an_image_is_passed_through(world: World) -> None:
    address = world.serve(png(), path="/photo")
    assert fetched(world) == {"photo.png": png()}
    address = world.serve(png(), path="/other.png")
    assert fetched(world) == {"other.png": png()}
    assert records(world)[0]["source"] == address


def test_a_record_says_where_its_file_comes_from(world: World) -> None:
    address = world.serve(ARCHIVE, path="/a.tar")
    world.url(address.replace("://", "://user:pass@") + "?token=hidden")
    fetched(world)
    first = records(world)[0]
    assert first["source"] == f"{address}#photos/0.png"
    assert first["version"] == sha256_of(
        next((world.root / "scratch" / "downloads").glob("*-a.tar"))
    )
    written = (path for path in world.root.rglob("*") if path.is_file())
    kept = [path for path in written if path.name != "params.yaml"]
    assert not any(word in path.read_bytes() for path in kept for word in (b"hidden", b"user:pass"))


def test_archives_lie_side_by_side(world: World) -> None:
    world.archive(tar(PHOTOS[0]), "in/one.tar")
    world.archive(zip_(PHOTOS[1]), "in/two.zip")
    world.source("url", archives=["in/one.tar", (world.root / "in" / "two.zip").as_uri()])
    assert fetched(world) == dict(PHOTOS[:2])


def test_a_name_in_unmarked_utf_8_is_kept(world: World) -> None:
    content = zip_(("nn.png", png()), packed=False).replace(b"nn.png", "é.png".encode())
    world.archive(content, "in/a.zip")
    assert fetched(world) == {"é.png": png()}


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
    file = Download(HttpFile(address, 10), tmp_path / "a", retries=0)
    with pytest.raises(UserError, match="broke off"):
        file.fetch(WISH)
    file.fetch(WISH)
    assert (tmp_path / "a").read_bytes() == b"new " * 3000


def test_a_part_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    address = site.put("/a", b"new " * 1000)
    (tmp_path / "a.part").write_bytes(b"x" * 9999)
    (tmp_path / "a.part.json").write_text('{"etag": "\\"one\\"", "size": 20000}')
    Download(HttpFile(address, 10), tmp_path / "a", retries=0).fetch(WISH)
    assert (tmp_path / "a").read_bytes() == b"new " * 1000
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.json", "a.lock"}


def test_a_damaged_part_costs_a_second_download_only(site: Site, tmp_path: Path) -> None:
    content = b"good" * 1000
    address = site.put("/a", content)
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    (tmp_path / "a.part.json").write_text('{"etag": "\\"one\\"", "size": 4000}')
    (tmp_path / "true").write_bytes(content)
    wish = DownloadSpec(sha256_of(tmp_path / "true"), "a test says", Version(), 10**9)
    Download(HttpFile(address, 10), tmp_path / "a", retries=0).fetch(wish)
    assert (tmp_path / "a").read_bytes() == content


def test_stalls_are_survived_as_long_as_something_comes(world: World) -> None:
    address = world.site.put("/a.tar", ARCHIVE, stalls_after=4096, chunk=4096)
    world.url(address, timeout_seconds=0.2, retries=1)
    assert fetched(world) == dict(PHOTOS)


def test_failures_that_pass_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("chimle.io.download.time.sleep", pauses.append)
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
        HttpFile("https://a.org/x", 1)._redirect_target("https://a.org/x", "http://a.org/x")


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
        return Download(HttpFile(address, 10), tmp_path / "a", 0).fetch(wish).sha256

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


def test_what_came_damaged_is_fetched_again(world: World) -> None:
    world.serve(ARCHIVE, length=5000)
    with pytest.raises(UserError, match="is damaged"):
        fetched(world)
    assert not (world.root / "data" / "checksums.json").exists()
    world.serve(ARCHIVE)
    assert fetched(world) == dict(PHOTOS)


def test_a_full_disk_is_no_damage() -> None:
    with pytest.raises(OSError, match="No space"):
        damage(OSError(errno.ENOSPC, "No space left on device"))


def test_a_prefix_arrives_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "PAGE", 2)
    name = world.bucket(*((f"set/{key}", content) for key, content in PHOTOS), ("set/", b""))
    first = check(world)
    assert fetched(world) == dict(PHOTOS)
    assert check(world) == first
    assert records(world)[0]["source"] == f"s3://{name}/set/photos/0.png"
    assert len(records(world)[0]["version"]) == 32
    world.client().put_object(Bucket=name, Key="set/more.png", Body=png())
    with pytest.raises(UserError, match="has changed since it was first fetched"):
        check(world)
    check(world, accept=True)
    assert fetched(world) == {**dict(PHOTOS), "more.png": png()}


def test_a_public_bucket_needs_no_credentials(world: World) -> None:
    name = world.bucket(*PHOTOS)
    for key, _ in PHOTOS:
        world.client().put_object_acl(Bucket=name, Key=key, ACL="public-read")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        world.patch.delenv(variable)
    world.source("s3", address=f"s3://{name}/", endpoint=world.s3, unsigned=True)
    assert fetched(world) == dict(PHOTOS)


def test_a_bucket_that_cannot_be_reached_is_what_was_recorded(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    name = world.bucket(*PHOTOS, key="")
    first = check(world)
    fetched(world)
    world.source("s3", address=f"s3://{name}/", endpoint="http://127.0.0.1:9")
    assert check(world) == first
    assert "cannot be reached (its server cannot be reached)" in capsys.readouterr().err


@pytest.mark.parametrize("steady", [True, False])
def test_an_archive_in_a_bucket_is_continued(world: World, steady: bool) -> None:
    """A part lies there, of this version of the object or of another."""
    name = world.bucket(("a.tar", ARCHIVE), key="a.tar")
    first = check(world)
    version = json.loads(first)["now"]
    assert fetched(world) == dict(PHOTOS)
    downloads = world.root / "scratch" / "downloads"
    (file,) = downloads.glob("*-a.tar")
    file.with_name(f"{file.name}.json").unlink()
    file.rename(f"{file}.part")
    with Path(f"{file}.part").open("rb+") as part:
        part.truncate(2000)
        if not steady:
            part.write(b"other content")
    note = version if steady else {**version, "etag": '"other"'}
    Path(f"{file}.part.json").write_text(json.dumps(note))
    assert fetched(world) == dict(PHOTOS)
    world.client().put_object(Bucket=name, Key="a.tar", Body=tar(PHOTOS[0]))
    with pytest.raises(UserError, match="has changed since it was first fetched"):
        check(world)
    check(world, accept=True)
    assert fetched(world) == dict(PHOTOS[:1])


def test_without_boto3_a_sentence_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.source("s3", address="s3://towers/set/")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UserError, match=r"pip install 'chimle\[s3\]'"):
        check(world)
