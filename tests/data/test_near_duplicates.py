"""Near-duplicates: found whatever their encoding, gone from training, listed by name."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.data.dataset import read_manifest
from chimle.data.manifests import PAIRS, read_records
from chimle.data.pair.near_duplicates import (
    DuplicatePair,
    close_hashes,
    duplicate_lines,
    near_duplicates,
)
from chimle.data.pair.pair_specs import PairSpec
from chimle.data.pair.splits import split_groups
from chimle.errors import UserError
from chimle.settings.pair import PairSettings
from tests.support import shared_archives as archives
from tests.support.helpers import needs_shared
from tests.support.projects import write_photographs
from tests.support.shared_archives import settings_for, unpacked


def paired(root: Path, task: str, source: dict[str, str], **pair: Any) -> Path:
    """The pairs that a folder gives with some settings."""
    return archives.paired(root, settings_for(task, {"kind": "folder", **source}, **pair))


@settings(max_examples=40)
@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), max_size=60),
    bits=st.integers(0, 24),
)
def test_close_hashes_are_all_pairs_within_the_distance(hashes: list[int], bits: int) -> None:
    found = close_hashes(np.array(hashes, dtype=np.uint64), bits)
    pairs = {(int(a), int(b)) for one, other in found for a, b in zip(one, other, strict=True)}
    every = ((i, j) for j in range(len(hashes)) for i in range(j))
    assert pairs == {(i, j) for i, j in every if (hashes[i] ^ hashes[j]).bit_count() <= bits}


@settings(max_examples=60)
@given(st.data())
def test_no_likeness_straddles_training_afterwards(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 12))
    splits = data.draw(
        st.lists(st.sampled_from(["train", "validation", "test"]), min_size=count, max_size=count)
    )
    edges = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    chosen = {(min(e), max(e)) for e in data.draw(st.lists(edges, max_size=20)) if e[0] != e[1]}
    found = [DuplicatePair(first, second, 0) for first, second in sorted(chosen)]
    names = [f"n{i:02}" for i in range(count)]
    lines = duplicate_lines(names, found, splits, drop=True)
    gone = {name for line in lines for name in line["dropped"]}
    assert all(splits[names.index(name)] == "train" for name in gone)
    for one in found:
        both = {names[one.first], names[one.second]}
        trained = [n for n in both - gone if splits[names.index(n)] == "train"]
        assert not trained or len(both - gone) == 1
    assert duplicate_lines(names, found[::-1], splits, drop=True) == lines
    assert not any(line["dropped"] for line in duplicate_lines(names, found, splits, drop=False))


def test_copies_in_any_encoding_leave_training(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photographs(photos / "train", count=6, size=96)
    write_photographs(photos / "test", count=2, size=96, seed=9)
    first = Image.open(photos / "test" / "photo_00.png")
    first.resize((70, 70)).save(photos / "train" / "copy.jpg", quality=60)
    again = Image.open(photos / "train" / "photo_03.png")
    again.point(lambda v: int(v * 0.85)).save(photos / "train" / "photo_99.jpg", quality=80)
    source = {"path": str(photos)}
    pairs = paired(tmp_path, "decompression", source)
    lines = read_manifest(pairs)["near_duplicates"]
    assert [(line["kept"], line["dropped"], set(line["splits"])) for line in lines] == [
        (["test/photo_00"], ["train/copy"], {"test", "train"}),
        (["train/photo_03"], ["train/photo_99"], {"train"}),
    ]
    ids = {entry["id"] for entry in read_records(pairs, PAIRS)}
    assert len(ids) == 8
    assert not ids & {"train__copy", "train__photo_99"}
    kept = paired(tmp_path, "decompression", source, duplicates="report")
    assert len(list(read_records(kept, PAIRS))) == 10


def test_a_likeness_of_one_finds_exact_copies(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", count=12)
    shutil.copytree(tmp_path / "photos", tmp_path / "copies")
    records = [
        {"file": f"{folder}/photo_{number:02}.png", "phash": f"{(1 << 4 * number) * 15:016x}"}
        for number in range(12)
        for folder in ("photos", "copies")
    ]
    chosen = PairSettings(duplicate_likeness=1, duplicate_bits=0)
    found = near_duplicates(records, chosen, tmp_path, tmp_path / "journal.jsonl")
    assert [(one.first, one.second) for one in found] == [(2 * n, 2 * n + 1) for n in range(12)]


def test_a_training_split_of_held_out_copies_alone_is_an_error(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photographs(photos / "test", count=3, size=96)
    (photos / "train").mkdir()
    for number in range(3):
        copy = Image.open(photos / "test" / f"photo_{number:02}.png")
        copy.save(photos / "train" / f"copy_{number}.jpg", quality=80)
    source = {"path": str(photos)}
    with pytest.raises(UserError, match=r"`pair\.duplicates`: all 3 images of the split `train`"):
        paired(tmp_path, "decompression", source)
    kept = read_manifest(paired(tmp_path, "decompression", source, duplicates="report"))
    assert kept["counts"]["train"] == 3


@settings(max_examples=50)
@given(
    groups=st.lists(st.integers(0, 400), min_size=40, max_size=120),
    more=st.lists(st.integers(0, 800), max_size=60),
    seed=st.integers(0, 20),
)
def test_groups_stay_whole_and_where_they_are(
    groups: list[int], more: list[int], seed: int
) -> None:
    def plan(numbers: list[int]) -> list[PairSpec]:
        return [
            PairSpec(f"p{i}", f"group{number}", "targets/x.png", (0, 0, 1))
            for i, number in enumerate(numbers)
        ]

    chosen = PairSettings(test=0.3)
    before = split_groups(plan([*range(1000, 1040), *groups]), chosen, seed)
    after = split_groups(plan([*range(1000, 1040), *groups, *more]), chosen, seed)
    assert all(after[group] == split for group, split in before.items())


@needs_shared("data/lowlight.tar")
def test_the_low_light_folders_share_about_eleven_images(tmp_path: Path) -> None:
    folder = unpacked("lowlight", tmp_path)
    source = {"path": f"{folder}/*/high", "inputs": f"{folder}/*/low"}
    manifest = read_manifest(paired(tmp_path, "night_to_day", source))
    across = [one for one in manifest["near_duplicates"] if set(one["splits"]) == {"train", "test"}]
    assert 9 <= len(across) <= 13
    assert all(line["kept"][0].startswith("eval/") and line["dropped"] for line in across)
    assert manifest["counts"]["test"] == 87
