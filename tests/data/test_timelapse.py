"""Fixed cameras: what becomes of their frames, by light, by the sun, by people's judgement."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimle.data.dataset import PairIndex, read_manifest
from chimle.data.manifests import PAIRS, read_records
from chimle.data.pair.summary import summary
from chimle.data.pair.timelapse.light_classes import Class
from chimle.errors import UserError
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from chimle.settings.timelapse import TimelapseSettings
from tests.support.cameras import annotated, frame, write_camera
from tests.support.helpers import needs_shared
from tests.support.projects import TINY
from tests.support.shared_archives import paired, settings_for, unpacked

FRANKFURT = {"latitude": 50.11, "longitude": 8.68}
TRUE_NIGHTS = {
    "20130913_185415",
    "20130920_192409",
    "20130930_205414",
    "20131005_002412",
    "20131017_045411",
    "20131113_182415",
    "20131203_182407",
    "20131203_222415",
    "20131213_202419",
    "20131214_172413",
    "20131218_052419",
}
"""Frankfurt's, told by eye."""
DUSKS = {"20130809_032409", "20131019_052425", "20131218_065418"}


def days(count: int, month: int = 5) -> list[str]:
    return [f"2013{month:02}{day:02}_120000" for day in range(1, count + 1)]


def nights(count: int, month: int = 5) -> list[str]:
    return [f"2013{month:02}{day:02}_230000" for day in range(1, count + 1)]


def lapse(root: Path, **fields: object) -> Path:
    source = {"kind": "folder", "path": str(root / "cameras")}
    fields = {"split": "date", **fields}
    return paired(root, settings_for("night_to_day", source, timelapse=fields))


def frames_of(pairs: Path) -> dict[str, list[str]]:
    """Frames used, as nights and as days."""
    entries = list(read_records(pairs, PAIRS))
    return {kind: sorted({e[kind]["frame"] for e in entries}) for kind in ("night", "day")}


def test_cameras_give_nights_with_many_days(tmp_path: Path) -> None:
    """Every rejected frame has its reason; moved frames stay aligned; dusks are left out."""
    folder = tmp_path / "cameras"
    write_camera(folder / "town", {"day": days(12), "night": nights(8), "dusk": nights(2, 7)})
    write_camera(folder / "hill", {"day": days(10), "overcast": days(6, 6)}, place=1)
    moved = "20130901_120000"
    Image.fromarray(frame("day", 90, shift=(6, 4))).save(folder / "town" / f"{moved}.png")
    Image.fromarray(frame("day", 91, place=4)).save(folder / "town" / "20130902_120000.png")
    Image.fromarray(frame("day", 92)[:100]).save(folder / "town" / "20130903_120000.png")
    Image.fromarray(frame("day", 93)).save(folder / "town" / "spring.png")
    twin = Image.open(folder / "town" / f"{days(1)[0]}.png")
    twin.save(folder / "town" / "20130904_120000.bmp")
    pairs = lapse(tmp_path, days_per_night=4)
    manifest = read_manifest(pairs)
    cameras = manifest["timelapse"]["cameras"]
    assert {k: cameras["hill"][k] for k in Class} == {"night": 0, "dusk": 0, "day": 16}
    assert {k: cameras["town"][k] for k in Class} == {"night": 8, "dusk": 2, "day": 14}
    reasons = {one["name"]: one["because"] for one in manifest["timelapse"]["rejected"]}
    assert reasons == {
        "town/20130902_120000": "shows another scene than the camera's others, or too little of it",
        "town/20130903_120000": "another size than the camera's others",
        "town/20130904_120000": "another frame again",
        "town/spring": "no time stamp",
    }
    assert sum(cameras["town"]["rejected"].values()) == 4
    entries = list(read_records(pairs, PAIRS))
    assert all(re.fullmatch(r"town__\d{8}_23\d{4}__\d{8}_12\d{4}", e["id"]) for e in entries)
    assert max(Counter(e["night"]["frame"] for e in entries).values()) == 4
    shifted = [e for e in entries if e["day"]["frame"].endswith(moved)]
    assert all(np.abs(np.subtract(e["day"]["shift"], (6, 4))).max() <= 1 for e in shifted)
    # A date's nights and days are of one split.
    dates: dict[str, set[str]] = {}
    for entry in entries:
        for kind in ("night", "day"):
            dates.setdefault(entry[kind]["time"][:10], set()).add(entry["split"])
    assert all(len(splits) == 1 for splits in dates.values())
    assert {entry["split"] for entry in entries} >= {"train", "test"}
    assert "2 cameras: 8 night, 2 dusk, 30 day, 4 left out" in summary(manifest)
    assert len(PairIndex(pairs, "train")[0].input) == 32


def test_small_frames_are_refused_or_listed_once(tmp_path: Path) -> None:
    """A moved frame that shares too little with every other, and a camera of small frames."""
    folder, moved = tmp_path / "cameras", "20130901_120000"
    write_camera(folder / "town", {"day": days(6), "night": nights(5)})
    Image.fromarray(frame("day", 90, shift=(6, 4))).save(folder / "town" / f"{moved}.png")
    source = {"kind": "folder", "path": str(folder)}
    own: dict[str, Any] = {"size": 118, "timelapse": {"split": "camera", "days_per_night": 7}}
    with pytest.raises(UserError, match=rf"town/{moved}\.png and .* in common, .*`pair\.small`"):
        paired(tmp_path / "one", settings_for("night_to_day", source, **own))
    for number in (1, 2):
        write_camera(folder / f"more{number}", {"day": days(3), "night": nights(2)}, place=number)
    write_camera(folder / "low", {"day": days(4), "night": nights(3)}, place=3)
    for file in (folder / "low").iterdir():
        Image.open(file).crop((0, 12, 160, 108)).save(file)
    with pytest.raises(
        UserError, match=r"low/.* is 160x96, smaller than `pair\.size` 118: remove it"
    ):
        paired(tmp_path / "all", settings_for("night_to_day", source, **own))
    skipping = settings_for("night_to_day", source, small="skip", **own)
    manifest = read_manifest(paired(tmp_path / "all", skipping))
    left_out = Counter(one["name"] for one in manifest["skipped"])
    low = {f"low/{name}" for name in days(4)}
    assert low | {f"town/{moved}"} <= set(left_out)
    assert {name for name in left_out if name.startswith("town/")} == {f"town/{moved}"}
    assert set(left_out.values()) == {1}
    assert f"{len(left_out)} skipped" in summary(manifest)


def test_splits_by_camera(tmp_path: Path) -> None:
    for place in range(6):
        folder = tmp_path / "cameras" / f"c{place}"
        write_camera(folder, {"day": days(5), "night": nights(2)}, place=place)
    entries = list(read_records(lapse(tmp_path, split="camera"), PAIRS))
    splits: dict[str, set[str]] = {}
    for entry in entries:
        splits.setdefault(entry["camera"], set()).add(entry["split"])
    assert len(splits) == 6
    assert all(len(own) == 1 for own in splits.values())


@pytest.mark.parametrize("split", ["date", "camera"])
def test_every_night_is_used_or_listed(tmp_path: Path, split: str) -> None:
    """Its split may have no day, or its camera."""
    folder = tmp_path / "cameras"
    write_camera(folder / "dale", {"day": days(4), "night": nights(4)})
    one_day = [f"20130501_{hour}0000" for hour in range(10, 15)]
    write_camera(folder / "town", {"day": one_day, "night": nights(14)}, place=1)
    write_camera(folder / "hill", {"night": nights(5)}, place=2)
    write_camera(folder / "moor", {"day": days(3), "night": nights(3)}, place=3)
    pairs = lapse(tmp_path, split=split, cameras={"hill": FRANKFURT})
    rejected = read_manifest(pairs)["timelapse"]["rejected"]
    alone = {one["name"] for one in rejected if one["because"] == "no day to pair it with"}
    assert {f"hill/{name}" for name in nights(5)} <= alone
    assert any(name.startswith("town/") for name in alone) == (split == "date")
    listed = {one["name"] for one in rejected}
    used = set(frames_of(pairs)["night"])
    assert not used & listed
    assert used | listed >= {
        path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*_23*")
    }
    assert f"{len(listed)} left out" in summary(read_manifest(pairs))


def test_a_wrong_clock_and_the_sun(tmp_path: Path) -> None:
    folder = tmp_path / "cameras" / "town"
    write_camera(folder, {"day": days(10), "night": nights(6)})
    Image.fromarray(frame("day", 80)).save(folder / "20130520_233000.png")
    place = {"cameras": {"town": FRANKFURT}}
    manifest = read_manifest(lapse(tmp_path, **place))
    assert manifest["timelapse"]["cameras"]["town"]["night"] == 6
    assert manifest["timelapse"]["rejected"] == [
        {
            "name": "town/20130520_233000",
            "because": "clock and light disagree",
            "detail": "night by the sun, day by its light",
        }
    ]
    away = {"cameras": {"town": {**FRANKFURT, "utc_offset": 12}}}
    with pytest.raises(UserError, match="no camera has nights and days"):
        lapse(tmp_path, **away)


def test_a_place_of_no_camera_is_refused(tmp_path: Path) -> None:
    """A misspelt one would be judged by its light, without a word."""
    write_camera(tmp_path / "cameras" / "town", {"day": days(1), "night": nights(1)})
    words = r"`pair\.timelapse\.cameras` names tonw, but no folder of the source is called so"
    with pytest.raises(UserError, match=words):
        lapse(tmp_path, cameras={"town": FRANKFURT, "tonw": FRANKFURT})


def test_annotations_judge_alone(tmp_path: Path) -> None:
    """Frames without stamps, as Transient Attributes has them."""
    folder = tmp_path / "cameras" / "00000064"
    write_camera(folder, {"day": [str(n) for n in range(9)], "night": ["20", "21", "22"]})
    write_camera(tmp_path / "cameras" / "00000090", {"day": ["0", "1", "2"], "night": ["3"]}, 1)
    rows = {}
    for path in sorted((tmp_path / "cameras").rglob("*.png")):
        night = path.stem in ("20", "21", "22") or path.parts[-2:] == ("00000090", "3.png")
        if path.stem != "8":
            rows[f"{path.parent.name}/{path.stem}.jpg"] = (0.1, 0.9) if night else (0.95, 0.0)
    (tmp_path / "annotations.tsv").write_text(annotated(rows))
    source = {
        "kind": "folder",
        "path": str(tmp_path / "cameras"),
        "annotations": str(tmp_path / "annotations.tsv"),
    }
    fields = {"stamps": "none", "split": "camera"}
    pairs = paired(tmp_path, settings_for("night_to_day", source, timelapse=fields))
    manifest = read_manifest(pairs)
    assert manifest["timelapse"]["cameras"]["00000064"]["night"] == 3
    assert manifest["timelapse"]["rejected"] == [
        {"name": "00000064/8", "because": "no line in the annotations"}
    ]
    assert frames_of(pairs)["night"] == [f"00000064/{n}" for n in (20, 21, 22)] + ["00000090/3"]


def test_exif_times(tmp_path: Path) -> None:
    folder = tmp_path / "cameras" / "town"
    folder.mkdir(parents=True)
    for number in range(14):
        exif = Image.Exif()
        hour = 12 if number < 9 else 23
        exif.get_ifd(0x8769)[0x9003] = f"2013:05:{number + 1:02} {hour}:00:00"
        image = Image.fromarray(frame("day" if number < 9 else "night", number))
        image.save(folder / f"{number:02}.jpg", quality=95, exif=exif)
    entries = list(read_records(lapse(tmp_path, stamps="exif"), PAIRS))
    assert entries[0]["night"]["time"].endswith("T23:00:00+00:00")


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        ("colourization", {}, "has not"),
        ("night_to_day", {"source": {"kind": "builtin"}}, "folder per camera"),
        (
            "night_to_day",
            {"source": {"kind": "folder", "path": "a", "inputs": "b"}},
            "finds the inputs",
        ),
        ("night_to_day", {"pair": {"timelapse": {"stamps": "none", "split": "date"}}}, "stamps"),
        ("night_to_day", {"pair": {"timelapse": {"sun": {"night_below": 9}}}}, "below"),
        ("night_to_day", {"pair": {"timelapse": {"light": {"night_below": 0.9}}}}, "above"),
    ],
)
def test_settings_that_cannot_be(task: str, values: dict[str, Any], words: str) -> None:
    given = {"source": {"kind": "folder", "path": "a"}, "pair": {"timelapse": {}}, **values}
    given["pair"] = {"size": 32, **given["pair"]}
    with pytest.raises(UserError, match=re.escape(words)):
        build_settings(RunSettings, {**TINY, **given, "task": task, "preset": "t"}, "test")
    assert TimelapseSettings().days_per_night > 1


@needs_shared("data/webcams.tar")
def test_the_webcams(tmp_path: Path) -> None:
    """By light alone and by the sun: Frankfurt's nights, none on the mountain or elsewhere."""
    folder = unpacked("webcams", tmp_path)
    source = {"kind": "folder", "path": str(folder)}
    by_light = settings_for("night_to_day", source, timelapse={"split": "date"})
    pairs = paired(tmp_path, by_light)
    manifest = read_manifest(pairs)
    cameras = manifest["timelapse"]["cameras"]
    assert {name: (one["night"], one["dusk"], one["day"]) for name, one in cameras.items()} == {
        "chamonix": (0, 0, 40),
        "courbevoie": (0, 0, 50),
        "frankfurt": (len(TRUE_NIGHTS), len(DUSKS), 26),
        "mexico": (0, 2, 31),
        "stlouis": (0, 10, 30),
    }
    entries = list(read_records(pairs, PAIRS))
    used = {entry[kind]["frame"].split("/")[1] for entry in entries for kind in ("night", "day")}
    assert {entry["night"]["frame"].split("/")[1] for entry in entries} <= TRUE_NIGHTS
    assert not used & DUSKS
    assert all(entry["id"].startswith("frankfurt__") for entry in entries)
    # The monument's archive holds seven frames twice, under other stamps.
    again = "another frame again"
    assert cameras["mexico"]["rejected"] == {again: 7}
    place = {"split": "date", "cameras": {"frankfurt": FRANKFURT}}
    by_sun = read_manifest(paired(tmp_path, settings_for("night_to_day", source, timelapse=place)))
    sunny = by_sun["timelapse"]["cameras"]["frankfurt"]
    assert sunny["night"] == len(TRUE_NIGHTS)
    assert sunny["rejected"] == {}
    assert sunny["dusk"] == 5
