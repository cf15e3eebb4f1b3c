"""The README's tour on a folder of odd files: exit code 0 or 2, and an account of every file."""

import json
import os
from pathlib import Path

import pytest

from stages import fetch, pair
from tests.images.odd_images import TABLE
from tests.support.command import run
from tests.support.in_process import in_process
from tests.support.projects import tiny_bundle, write_project

TASK = "night_to_day"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose `photos` holds every odd image, and odd files of other kinds."""
    root = tmp_path_factory.mktemp("tour")
    photos = root / "photos"
    (photos / "deep" / "er").mkdir(parents=True)
    rows = [row for rows in TABLE.values() for row in rows]
    for number, row in enumerate(rows):
        place = photos / ("deep/er" if number % 3 else "") / f"{number:03}{Path(row.name).suffix}"
        place.write_bytes(row.make())
    for name in (".hidden.png", "Thumbs.db", "notes.txt", "clip.mp4"):
        (photos / name).write_bytes(b"x")
    for name in ("__MACOSX", "empty.png"):
        (photos / name).mkdir()
    (photos / "loop").symlink_to(photos)
    (photos / "broken.png").symlink_to(photos / "nowhere")
    os.mkfifo(photos / "pipe.png")
    tiny_bundle(root / "bundle", TASK, levels=1)
    source = {"kind": "folder", "path": "photos", "damaged": "skip"}
    sizes = {"size": 16, "small": "skip", "duplicates": "keep", "test": 0.3, "validation": 0.1}
    return write_project(root, {TASK: {"source": source, "pair": sizes}})


def everything(photos: Path) -> set[str]:
    """Paths of all files, links and pipes below a folder."""
    found = set()
    for above, folders, files in os.walk(photos):
        links = [name for name in folders if (Path(above) / name).is_symlink()]
        found |= {str(Path(above, name)) for name in (*files, *links)}
    return found


@pytest.mark.parametrize("options", [("--degrade",), ("--from", "0", "--keep-level", "0")])
def test_sample(root: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    photos, out = root / "photos", ("-o", tmp_path / "out", "--no-grid", "-n", 1, "--json")
    done = run("sample", photos, "--model", root / "bundle", *options, *out)
    assert done.returncode == 2, "some files are damaged"
    assert "Traceback" not in done.stderr
    account = json.loads(done.stdout)
    sampled = [one["image"] for one in account["images"]]
    failed = [one["image"] for one in account["failed"]]
    left_out = [one["file"] for one in account["left_out"]]
    listed = [*sampled, *failed, *left_out]
    assert len(listed) == len(set(listed))
    assert set(listed) == everything(photos) | {str(photos / "__MACOSX")}
    assert len(sampled) >= 30
    assert len(failed) >= 15
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(failed), "one sentence each"
    for one in account["images"]:
        assert all(Path(file).is_file() for file in one["samples"].values())


def test_fetch_and_pair(root: Path) -> None:
    """Every file is fetched, skipped as damaged or left out, and then paired or too small."""
    photos, raw = root / "photos", root / "data" / "raw" / TASK
    done = in_process(fetch.command, TASK, "--root", root)
    assert done.returncode == 0, done.stderr
    assert "files are left out: " in done.stdout
    header = json.loads((raw / "source.json").read_text())
    records = [json.loads(line) for line in (raw / "files.jsonl").read_text().splitlines()]
    fetched = {one["source"] for one in records}
    skipped = {f"photos/{one['name']}" for one in header["skipped"]}
    left_out = {one["file"] for one in header["left_out"]}
    stems = {str(Path(name).with_suffix("")) for name in fetched}
    for path in everything(photos):
        name = Path(path).relative_to(root).as_posix()
        stem = str(Path(name).with_suffix(""))
        assert [stem in stems, stem in skipped, name in left_out].count(True) == 1, name
    done = in_process(pair.command, TASK, "--root", root)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((root / "data" / "pairs" / TASK / "manifest.json").read_text())
    assert sum(manifest["counts"].values()) + len(manifest["skipped"]) == len(fetched)


def test_score_show_and_others_are_one_sentence(root: Path, tmp_path: Path) -> None:
    photos = root / "photos"
    for line in (
        ("score", photos, "--targets", photos, "--weights", "random", "-o", tmp_path / "scores"),
        ("show", photos),
        ("import", photos, "--task", TASK, "-o", tmp_path / "imported"),
        ("export", "--model", photos, "-o", tmp_path / "exported"),
        ("pack", "--model", photos, "-o", tmp_path / "packed.zip", "--license", "mit"),
        ("explore", "--model", photos),
    ):
        done = run(*line)
        assert done.returncode == 2, done.stdout
        errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
        assert len(errors) == 1, done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
