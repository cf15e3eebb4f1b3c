"""Folder sources: the walk, names, patterns, and an account of every file."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from chimle.data.fetch.fetching import fetch
from chimle.data.fetch.source_record import source_record, write_record
from chimle.data.fetch.sources.folder import Folder
from chimle.data.fetch.sources.listing import read_listing
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import find_images, select
from chimle.data.manifests import SOURCE, read_records
from chimle.data.pair.make_pairs import make_pairs
from chimle.data.pair.pair_specs import pair_id
from chimle.errors import UserError
from chimle.io.files import sha256_of
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from chimle.settings.source import FolderSource, ListingSettings
from tests.support.projects import noise_image, write_project

TASK = "decompression"


def save(*paths: Path) -> None:
    """Write images with different content."""
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise_image((40, 41 + number))).save(path)


def names(root: Path, pattern: str) -> list[str]:
    return [file.name for file in find_images(pattern, root, "source.path")[0]]


def settings_of(root: Path, path: str = "photos") -> RunSettings:
    source = {"kind": "folder", "path": path}
    splits = {"validation": 0.1, "test": 0.3, "duplicates": "keep"}
    write_project(root, {TASK: {"source": source, "pair": splits}})
    return load_settings(RunSettings, TASK, root)


def test_every_file_is_fetched_or_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    save(photos / "a.PNG", photos / "below" / "b.jfif", photos / "c.jp2", photos / "d.tga")
    save(tmp_path / "elsewhere" / "e.png", tmp_path / "data" / "raw" / "old" / "f.png")
    (photos / "link").symlink_to(tmp_path / "elsewhere")
    (photos / "again").symlink_to(photos / "below")
    (photos / "broken.png").symlink_to(photos / "nowhere")
    os.mkfifo(photos / "pipe.png")
    for name in (".hidden.png", "Thumbs.db", "notes.txt", "raw.NEF", "@eaDir/a.png"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"x")
    counts = fetch(settings_of(tmp_path), tmp_path, tmp_path / "data" / "raw" / TASK)
    assert counts == {"targets": 5, "skipped": 0}
    header = json.loads((tmp_path / "data" / "raw" / TASK / "source.json").read_text())
    assert {one["file"]: one["reason"] for one in header["left_out"]} == {
        "photos/again": "a link to a folder that is searched itself",
        "photos/broken.png": "a broken link",
        "photos/pipe.png": "a pipe",
        "photos/.hidden.png": "hidden",
        "photos/Thumbs.db": "left behind by an operating system",
        "photos/notes.txt": "no image file (.txt)",
        "photos/raw.NEF": "raw files are not read: develop it to TIFF or PNG first",
        "photos/@eaDir": "left behind by an operating system (folder)",
    }
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("fetch: 8 files are left out: ")
    assert last.endswith("source.json lists them")


def test_unfinished_work_on_other_files_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that comes after the folder was looked at, and goes before the next run."""
    photos, out = tmp_path / "photos", tmp_path / "data" / "raw" / TASK
    save(photos / "b.png", photos / "c.png")
    (photos / "d.png").write_bytes(b"damaged")
    own, collect = settings_of(tmp_path), Folder.fetch

    def fetch_with_another(source: Folder, work: Path) -> Collection:
        save(photos / "z.png", photos / "a.png")
        return collect(source, work)

    monkeypatch.setattr(Folder, "fetch", fetch_with_another)
    with pytest.raises(UserError, match=r"d\.png"):
        fetch(own, tmp_path, out)
    monkeypatch.setattr(Folder, "fetch", collect)
    for name in ("a", "z"):
        (photos / f"{name}.png").unlink()
    with pytest.raises(UserError, match=r"d\.png"):
        fetch(own, tmp_path, out)
    save(photos / "d.png")
    assert fetch(own, tmp_path, out) == {"targets": 3, "skipped": 0}
    records = {record["file"]: record["sha256"] for record in read_records(out, SOURCE)}
    assert records == {f"targets/{n}.png": sha256_of(photos / f"{n}.png") for n in "bcd"}
    assert {path.name for path in (out / "targets").iterdir()} == {"b.png", "c.png", "d.png"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"stats": 1}', "null", "\0", "3"])
def test_a_damaged_note_of_a_folder_is_made_again(tmp_path: Path, content: str) -> None:
    save(tmp_path / "photos" / "a.png")
    source = Folder(FolderSource(kind="folder", path="photos"), Workspace(tmp_path, tmp_path / "s"))
    before = source.fingerprint()
    (note,) = (tmp_path / "s" / "folders").iterdir()
    whole = note.read_text()
    for damaged in (content, whole[:-5], whole.replace('"now"', '"then"'), whole[:-2] + "x}}"):
        note.write_text(damaged)
        assert source.fingerprint() == before
        assert note.read_text() == whole


def test_what_the_pipeline_writes_is_no_source(tmp_path: Path) -> None:
    """A second run of a source that is the project itself has the same images."""
    save(tmp_path / "a.png", tmp_path / "photos" / "b.png")
    for _ in range(2):
        counts = fetch(settings_of(tmp_path, "."), tmp_path, tmp_path / "data" / "raw" / TASK)
        assert counts["targets"] == 2


def test_patterns_lead_the_names(tmp_path: Path) -> None:
    save(*(tmp_path / f"photos/{name}.png" for name in ("a/high/1", "b/c/high/1", "[x]/high/1")))
    save(tmp_path / "photos/a/low/1.png", tmp_path / "photos/.hidden/high/1.png")
    assert names(tmp_path, "photos/*/high") == ["[x]/1", "a/1"]
    assert names(tmp_path, "photos/*/*/high") == ["b/c/1"]
    assert names(tmp_path, "photos/**/high") == ["[x]/1", "a/1", "b/c/1"]
    assert names(tmp_path, "photos/[x]") == ["high/1"]
    assert names(tmp_path, "photos/[ab]/high") == ["a/1"]
    assert names(tmp_path, "photos/**") == ["[x]/high/1", "a/high/1", "a/low/1", "b/c/high/1"]
    with pytest.raises(UserError, match="no folder matches"):
        find_images("photos/*/none", tmp_path, "source.path")


@pytest.mark.parametrize(
    ("pair", "difference"),
    [
        (("a.png", "A.PNG"), "case"),
        (("d/a.png", "D/A.png"), "case"),
        (("\u00e9.png", "e\u0301.png"), "the encoding of an accent"),
        (("\u00e9.png", "e\u0301.jpg"), "the ending"),
        (("a.png", "a.jpg"), "the ending"),
    ],
)
def test_names_that_some_file_system_takes_for_one(
    tmp_path: Path, pair: tuple[str, str], difference: str
) -> None:
    save(*(tmp_path / "photos" / name for name in pair))
    with pytest.raises(UserError, match=f"have the same name but for {difference}: rename one"):
        find_images("photos", tmp_path, "source.path")


def test_accents_of_targets_and_inputs_may_be_written_in_two_ways(tmp_path: Path) -> None:
    """A folder from a Mac has the same names as one from Linux; so do pairs on both."""
    save(tmp_path / "days" / "caf\u00e9.png", tmp_path / "nights" / "cafe\u0301.png")
    selection = FolderSource(kind="folder", path="days", inputs="nights")
    found = select(selection, tmp_path, lambda _path: {})
    assert [file.name for file in (*found.targets, *found.inputs)] == ["caf\u00e9"] * 2


def test_long_and_similar_names_make_pairs(tmp_path: Path) -> None:
    """Every image that is fetched has a pair of its own."""
    photos = tmp_path / "photos"
    long = [f"{'n' * 249}{number}.png" for number in range(3)]
    deep = [f"{'d' * 200}/{'e' * 200}/{number}.png" for number in range(2)]
    save(*(photos / name for name in (*long, *deep, "a/b.png", "a__b.png", "a_/b.png", "a/_b.png")))
    save(*(photos / f"more{number}.png" for number in range(8)))
    settings = settings_of(tmp_path)
    assert fetch(settings, tmp_path, tmp_path / "raw")["targets"] == 17
    counts = make_pairs(settings, tmp_path / "raw", tmp_path / "pairs", tmp_path / "scratch")
    assert sum(counts.values()) == 17
    assert len(list((tmp_path / "pairs").rglob("target/*.png"))) == 17


def test_an_absolute_path_is_the_same_source_wherever_the_project_is(tmp_path: Path) -> None:
    photos = tmp_path / "photos [2024]"
    save(photos / "a" / "one.png", photos / "b" / "two.png")
    for path in (str(photos), f"{photos}/*", str(tmp_path / "photos*" / "a")):
        records = []
        for root in (tmp_path / "here", tmp_path / "moved" / "far" / "away"):
            settings = settings_of(root, path)
            fetch(settings, root, root / "raw")
            files = [record["source"] for record in read_records(root / "raw", SOURCE)]
            records.append((source_record(settings, root), files))
        assert records[0] == records[1]
    assert records[0][1] == [str(photos / "a" / "one.png")]


@pytest.mark.parametrize("kind", ["hardlink_to", "symlink_to"])
def test_a_file_system_without_links_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    save(tmp_path / "in" / "a.png", tmp_path / "in" / "b.png")
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in")
    (tmp_path / "list.csv").write_text("name,address\na,in/a.png\nb,in/b.png\n")
    listing = {"file": "list.csv", "name_column": "name", "address_column": "address"}

    def refused(_self: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, kind, refused)
    for source in ({"archives": ["a.zip"]}, {"listing": listing}):
        write_project(tmp_path, {TASK: {"source": {"kind": "url", **source}}})
        settings = load_settings(RunSettings, TASK, tmp_path)
        assert fetch(settings, tmp_path, tmp_path / "raw")["targets"] == 2
        for name in ("a.png", "b.png"):
            fetched = tmp_path / "raw" / "targets" / name
            assert fetched.read_bytes() == (tmp_path / "in" / name).read_bytes()
            assert not fetched.samefile(tmp_path / "in" / name)


def test_a_damaged_record_of_a_source_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "sources" / f"{TASK}.json"
    assert write_record(tmp_path, TASK, {"kind": "folder"})
    good = path.read_bytes()
    path.write_bytes(b"\xff" + good)
    assert write_record(tmp_path, TASK, {"kind": "folder"})
    assert path.read_bytes() == good
    assert not write_record(tmp_path, TASK, {"kind": "folder"})


def test_ids_of_pairs() -> None:
    assert pair_id("a/b/c") == "a__b__c"
    assert pair_id("a_b") == "a_b"
    alike = ["a/b", "a__b", "a_/_b", "a/__b", "a__/b", "a//b", "x" * 300, "x" * 301]
    assert len({pair_id(name) for name in alike}) == len(alike)


@pytest.mark.parametrize("row", ['b,"b.png', '"b,b.png', '"b"b,b.png'])
def test_a_quote_without_end_swallows_no_rows(tmp_path: Path, row: str) -> None:
    (tmp_path / "list.csv").write_text(f"name,address\na,a.png\n{row}\nc,c.png\n")
    listing = ListingSettings(file="list.csv", name_column="name", address_column="address")
    with pytest.raises(UserError, match=r"list\.csv, line 3: this row is no CSV"):
        read_listing(listing, tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('name,address\na,a.png\n\n\n"b,b.png\nc,c.png\n', 5),
        ('\n\nname,address\n\n"b,b.png\n', 5),
        ('\n"name,address\na,a.png\n', 2),
        ('name,address,note\na,a.png,"x\ny"\n\n"b"b,b.png\n', 5),
        ("name,address\n\nb\n", 3),
        ("name,address\n\na,a.png\n\na,b.png\n", 5),
        ('name,address\na,a.png\n\n"a",\n', 4),
    ],
)
def test_a_bad_row_is_named_by_the_line_where_it_begins(
    tmp_path: Path, text: str, line: int
) -> None:
    (tmp_path / "list.csv").write_text(text)
    listing = ListingSettings(file="list.csv", name_column="name", address_column="address")
    with pytest.raises(UserError, match=rf"list\.csv, line {line}: "):
        read_listing(listing, tmp_path)


@pytest.mark.parametrize("name", ["a\\b", "n" * 300, "a\tb"])
def test_a_listing_with_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    """Before anything is fetched, by `check` as by `fetch`."""
    save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(f"name,address\n{name},a.png\n")
    listing = {"file": "list.csv", "name_column": "name", "address_column": "address"}
    write_project(tmp_path, {TASK: {"source": {"kind": "url", "listing": listing}}})
    settings = load_settings(RunSettings, TASK, tmp_path)
    with pytest.raises(UserError, match=r"list\.csv, line 2: .*: rename it"):
        source_record(settings, tmp_path)
