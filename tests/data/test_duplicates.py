"""Near-duplicates: found whatever their encoding, gone from training, listed by name."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.data.dataset import read_manifest
from chimle.data.duplicates import Likeness, close_hashes, judge
from chimle.data.fetching import fetch
from chimle.data.pairing import make_pairs
from chimle.data.plans import Planned
from chimle.data.records import PAIRS, read_records
from chimle.data.splits import split_groups
from chimle.settings import PairSettings, load_settings
from tests.helpers import SHARED, needs_shared
from tests.projects import write_photographs, write_project


def paired(root: Path, task: str, source: dict[str, Any], **pair: Any) -> Path:
    """The pairs that a folder gives with some settings."""
    own = {"source": {"kind": "folder", **source}, "pair": pair}
    write_project(root, {task: own})
    chosen = load_settings(task, root)
    fetch(chosen, root, root / "raw")
    make_pairs(chosen, root / "raw", root / "pairs", root / "scratch")
    return root / "pairs"


@settings(max_examples=40, deadline=None)
@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), max_size=60),
    bits=st.integers(0, 24),
)
def test_close_hashes_are_all_pairs_within_the_distance(hashes: list[int], bits: int) -> None:
    found = close_hashes(np.array(hashes, dtype=np.uint64), bits)
    pairs = {(int(a), int(b)) for one, other in found for a, b in zip(one, other, strict=True)}
    every = ((i, j) for j in range(len(hashes)) for i in range(j))
    assert pairs == {(i, j) for i, j in every if (hashes[i] ^ hashes[j]).bit_count() <= bits}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_likeness_straddles_training_afterwards(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 12))
    splits = data.draw(
        st.lists(st.sampled_from(["train", "validation", "test"]), min_size=count, max_size=count)
    )
    edges = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    chosen = {(min(e), max(e)) for e in data.draw(st.lists(edges, max_size=20)) if e[0] != e[1]}
    found = [Likeness(first, second, 0) for first, second in sorted(chosen)]
    names = [f"n{i:02}" for i in range(count)]
    lines = judge(names, found, splits, drop=True)
    gone = {name for line in lines for name in line["dropped"]}
    assert all(splits[names.index(name)] == "train" for name in gone)
    for one in found:
        both = {names[one.first], names[one.second]}
        trained = [n for n in both - gone if splits[names.index(n)] == "train"]
        assert not trained or len(both - gone) == 1
    assert judge(names, found[::-1], splits, drop=True) == lines
    assert not any(line["dropped"] for line in judge(names, found, splits, drop=False))


def test_copies_in_any_encoding_leave_training(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photographs(photos / "train", count=6, size=96)
    write_photographs(photos / "test", count=2, size=96, seed=9)
    first = Image.open(photos / "test" / "photo_00.png")
    first.resize((70, 70)).save(photos / "train" / "copy.jpg", quality=60)
    again = Image.open(photos / "train" / "photo_03.png")
    again.point(lambda v: int(v * 0.85)).save(photos / "train" / "photo_99.jpg", quality=80)
    source = {"path": "photos"}
    lines = read_manifest(paired(tmp_path, "decompression", source))["near_duplicates"]
    assert [(line["kept"], line["dropped"], set(line["splits"])) for line in lines] == [
        (["test/photo_00"], ["train/copy"], {"test", "train"}),
        (["train/photo_03"], ["train/photo_99"], {"train"}),
    ]
    ids = {entry["id"] for entry in read_records(tmp_path / "pairs", PAIRS)}
    assert len(ids) == 8 and not ids & {"train__copy", "train__photo_99"}
    kept = paired(tmp_path, "decompression", source, duplicates="report")
    assert len(list(read_records(kept, PAIRS))) == 10


def test_small_photographs_may_be_left_out(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", count=9)
    Image.new("RGB", (8, 80)).save(tmp_path / "photos" / "thin.png")
    pairs = paired(tmp_path, "decompression", {"path": "photos"}, small="skip")
    assert "thin" in str(read_manifest(pairs)["skipped"])
    assert "thin" not in {entry["id"] for entry in read_records(pairs, PAIRS)}


@settings(max_examples=50, deadline=None)
@given(
    groups=st.lists(st.integers(0, 400), min_size=40, max_size=120),
    more=st.lists(st.integers(0, 800), max_size=60),
    seed=st.integers(0, 20),
)
def test_groups_stay_whole_and_where_they_are(
    groups: list[int], more: list[int], seed: int
) -> None:
    def plan(numbers: list[int]) -> list[Planned]:
        return [
            Planned(f"p{i}", f"group{number}", "targets/x.png", (0, 0, 1))
            for i, number in enumerate(numbers)
        ]

    chosen = PairSettings(test=0.3)
    before = split_groups(plan([*range(1000, 1040), *groups]), chosen, seed)
    after = split_groups(plan([*range(1000, 1040), *groups, *more]), chosen, seed)
    assert all(after[group] == split for group, split in before.items())


def unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(SHARED / "data" / f"{name}.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder / name


@needs_shared("data/lowlight.tar")
def test_the_low_light_folders_share_about_eleven_pictures(tmp_path: Path) -> None:
    folder = unpacked("lowlight", tmp_path)
    source = {"path": f"{folder}/*/high", "inputs": f"{folder}/*/low"}
    manifest = read_manifest(paired(tmp_path, "night_to_day", source))
    across = [one for one in manifest["near_duplicates"] if set(one["splits"]) == {"train", "test"}]
    assert 9 <= len(across) <= 13
    assert all(line["kept"][0].startswith("eval/") and line["dropped"] for line in across)
    assert manifest["counts"]["test"] == 87


@needs_shared("data/butterflies.tar")
def test_species_are_groups_where_asked(tmp_path: Path) -> None:
    folder = unpacked("butterflies", tmp_path)
    pairs = paired(tmp_path, "super_resolution", {"path": str(folder)}, group=3, limit=30, size=64)
    entries = list(read_records(pairs, PAIRS))
    groups = {
        entry["group"]: {e["split"] for e in entries if e["group"] == entry["group"]}
        for entry in entries
    }
    assert 3 <= len(groups) <= 10 and all(len(splits) == 1 for splits in groups.values())
    assert all(entry["id"].startswith(entry["group"]) for entry in entries)


@needs_shared("data/webcams.tar")
def test_frankfurt_has_nights_and_mountain_and_monument_have_none(tmp_path: Path) -> None:
    folder = unpacked("webcams", tmp_path)
    lapse = {"days_per_night": 4, "split": "date"}
    pairs = paired(tmp_path, "night_to_day", {"path": str(folder)}, timelapse=lapse)
    cameras = read_manifest(pairs)["timelapse"]["cameras"]
    nights = {name: counts["night"] for name, counts in cameras.items()}
    assert nights["frankfurt"] >= 8
    assert nights["chamonix"] == nights["mexico"] == nights["courbevoie"] == 0
    entries = list(read_records(pairs, PAIRS))
    assert {entry["camera"] for entry in entries} == {"frankfurt"}
    for split in ("train", "test"):
        own = [entry for entry in entries if entry["split"] == split]
        days = [entry["day"]["frame"] for entry in own]
        uses = [days.count(day) for day in set(days)]
        assert max(uses) - min(uses) <= 1
    dates = {
        split: {e["day"]["time"][:10] for e in entries if e["split"] == split}
        for split in ("train", "test")
    }
    assert not dates["train"] & dates["test"]
