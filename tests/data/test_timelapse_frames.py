"""What is known of a camera's frames one by one: stamps, judgements, turns, poses."""

import base64
import contextlib
import unicodedata
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.data.pair.splits import by_hash
from chimle.data.pair.timelapse.align import (
    common_square,
    edges,
    pose_of,
    reference_edges,
    rejection_reason,
)
from chimle.data.pair.timelapse.balance import balanced
from chimle.data.pair.timelapse.dates import date_of, date_splits
from chimle.data.pair.timelapse.frames import (
    Frame,
    Rejected,
    exif_time,
    make_frames,
    read_attributes,
    stamp_of,
)
from chimle.data.pair.timelapse.light_classes import Class, by_attributes, light
from chimle.errors import UserError
from chimle.settings.pair import PairSettings
from chimle.settings.timelapse import (
    TRANSIENT_ATTRIBUTES,
    AlignSettings,
    AttributeSettings,
    CameraSettings,
    TimelapseSettings,
)
from tests.support.cameras import NAMES, annotated, frame


@pytest.mark.parametrize(
    ("name", "pattern", "said"),
    [
        ("20130502_071500", None, datetime(2013, 5, 2, 7, 15)),
        ("cam3-20130502-071500-b", None, datetime(2013, 5, 2, 7, 15)),
        ("20130502071500", None, datetime(2013, 5, 2, 7, 15)),
        ("20131502_071500", None, None),
        ("holiday", None, None),
        ("x 2013-05-02 at 07h15", "%Y-%m-%d at %Hh%M", datetime(2013, 5, 2, 7, 15)),
        ("2013.05.02", "%Y-%m-%d", None),
    ],
)
def test_stamps_are_found(name: str, pattern: str | None, said: datetime | None) -> None:
    assert stamp_of(name, pattern) == said


@pytest.mark.parametrize("pattern", ["%Q", "%Y-%Y", "%Y%m%d%m", "%Y%", "%Ya%", "at %", "plain"])
def test_a_pattern_without_meaning_is_named(pattern: str) -> None:
    with pytest.raises(UserError, match=r"pair\.timelapse\.pattern"):
        stamp_of("2013-2013", pattern)


@settings(max_examples=200)
@given(
    name=st.text(max_size=20),
    pattern=st.lists(
        st.one_of(st.sampled_from(["%Y", "%m", "%d", "%H", "%j", "%b", "%"]), st.text(max_size=3))
    ).map("".join),
)
def test_any_pattern_is_used_or_refused(name: str, pattern: str) -> None:
    with contextlib.suppress(UserError):
        stamp_of(name, pattern)


def exif_with(taken: object) -> bytes:
    """An EXIF block with a DateTimeOriginal."""
    block = Image.Exif()
    block.get_ifd(0x8769)[0x9003] = taken
    return block.tobytes()


def test_a_time_of_exif(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif_with("2013:05:02 07:15:00"))
    assert exif_time(tmp_path / "a.jpg") == datetime(2013, 5, 2, 7, 15)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif_with("0000:00:00 00:00:00"))
    assert exif_time(tmp_path / "a.jpg") is None


@settings(max_examples=60)
@given(
    block=st.binary(max_size=60),
    prefix=st.sampled_from([b"", b"Exif\0\0II*\0\x08\0\0\0", exif_with("2013")[:30]]),
)
def test_odd_exif_tells_no_time(
    block: bytes, prefix: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nor does it stop anything, or warn."""
    path = tmp_path_factory.mktemp("exif") / "a.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=prefix + block)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert exif_time(path) is None


@pytest.mark.parametrize("year", [1, 2013, 9999])
def test_a_clock_that_was_never_set(year: int) -> None:
    """Times that no calendar can move by an offset are none."""
    reading = {
        "thumbnail": base64.b64encode(bytes(24 * 32 * 3)).decode(),
        "time": datetime(year, 1, 1).isoformat(),
    }
    record = {"file": "raw/c/a.jpg", "width": 8, "height": 8, "phash": "0"}
    for offset in (-14, 14):
        places = {"c": CameraSettings(latitude=50, longitude=8, utc_offset=offset)}
        own, rejected = TimelapseSettings(stamps="exif", cameras=places), Rejected()
        frames = make_frames([record], [reading], own, rejected)
        assert len(frames) == (year == 2013)
        assert len(rejected.lines) == (year != 2013)


@pytest.mark.filterwarnings("error")
def test_frames_of_one_colour_have_a_light() -> None:
    """As of a camera that is out of order: there is no ground beside the sky."""
    levels = np.array([200, 200, 200, 20], dtype=np.uint8)
    part, ground = light(np.broadcast_to(levels[:, None, None, None], (4, 24, 32, 3)))
    assert part == pytest.approx([1, 1, 1, 0.1])
    assert ground[:3] == pytest.approx([1, 1, 1])
    assert 0 < ground[3] < 0.01


def test_accents_may_be_written_in_two_ways(tmp_path: Path) -> None:
    """A fetched source has composed names; texts of another system may have others."""
    name, place = "Z\u00fcrich", {"latitude": 47.4, "longitude": 8.5}
    other = unicodedata.normalize("NFD", name)
    (tmp_path / "annotations.tsv").write_text(
        annotated({f"{other}/a.jpg": (0.9, 0.1)}), encoding="utf-8"
    )
    assert list(read_attributes(tmp_path / "annotations.tsv", AttributeSettings())) == [f"{name}/a"]
    settings = TimelapseSettings.model_validate({"cameras": {other: place}})
    assert list(settings.cameras) == [name]
    with pytest.raises(ValueError, match="twice, with its accents written in two ways"):
        TimelapseSettings.model_validate({"cameras": {name: place, other: place}})


def test_attributes_are_read_and_judge(tmp_path: Path) -> None:
    assert len(NAMES) == 40
    assert tuple(NAMES) == TRANSIENT_ATTRIBUTES
    own = AttributeSettings()
    values = {"day": (0.9, 0.1), "night": (0.1, 0.7), "dusk": (0.5, 0.5), "both": (0.9, 0.7)}
    (tmp_path / "annotations.tsv").write_text(
        annotated({f"00000064/{name}.jpg": both for name, both in values.items()})
    )
    found = read_attributes(tmp_path / "annotations.tsv", own)
    assert {name: by_attributes(found[f"00000064/{name}"], own) for name in values} == {
        "day": Class.DAY,
        "night": Class.NIGHT,
        "dusk": Class.DUSK,
        "both": Class.DUSK,
    }
    lenient = AttributeSettings(day_above=0.4, night_above=0.8)
    assert by_attributes(values["dusk"], lenient) is Class.DAY
    assert by_attributes(values["night"], lenient) is Class.DUSK


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"c/a.jpg\t0.1,0.2\n", "line 1 is no file name with"),
        (annotated({"": (0.1, 0.2)}).encode(), "line 1 is no file name with"),
        (annotated({"a.jpg": (0.1, 0.2), ".": (0.1, 0.2)}).encode(), "line 2 is no file name"),
        (annotated({"a.jpg": (float("nan"), 0.2)}).encode(), "line 1 is no file name with"),
        (annotated({"a.jpg": (0.1, 0.2), "é.jpg": (0.1, 0.2)}).encode("latin-1"), "line 2 .*UTF-8"),
    ],
    ids=["too few columns", "no name", "a dot", "no number", "Latin-1"],
)
def test_annotations_that_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "annotations.tsv").write_bytes(content)
    with pytest.raises(UserError, match=rf"annotations\.tsv: {says}"):
        read_attributes(tmp_path / "annotations.tsv", AttributeSettings())


def test_annotations_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    text = annotated({"a.jpg": (0.1, 0.2)})
    (tmp_path / "annotations.tsv").write_text(text, encoding="utf-8-sig")
    assert read_attributes(tmp_path / "annotations.tsv", AttributeSettings()) == {"a": (0.1, 0.2)}


@settings(max_examples=60)
@given(nights=st.integers(0, 12), days=st.integers(0, 15), each=st.integers(1, 20))
def test_days_are_used_equally_often(nights: int, days: int, each: int) -> None:
    def made(kind: str, count: int) -> list[Frame]:
        thumbnail = np.zeros((24, 32, 3), np.uint8)
        return [Frame("", f"c/{kind}{i}", "c", (9, 9), 0, thumbnail, None) for i in range(count)]

    pairs = list(balanced(made("n", nights), made("d", days), each, seed=3))
    assert len({(a.name, b.name) for a, b in pairs}) == len(pairs) == nights * min(each, days)
    if pairs:
        used = Counter(b.name for _, b in pairs)
        assert max(used.values()) - (min(used.values()) if len(used) == days else 0) <= 1
        assert set(Counter(a.name for a, _ in pairs).values()) == {min(each, days)}


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(40, 200), st.integers(40, 200)),
    shifts=st.lists(st.tuples(st.integers(-15, 15), st.integers(-15, 15)), min_size=2, max_size=4),
)
def test_the_common_square_shows_the_same_everywhere(
    size: tuple[int, int], shifts: list[tuple[int, int]]
) -> None:
    boxes = common_square(size, shifts)
    scene_corners = {
        (left - x, top - y) for (left, top, _), (x, y) in zip(boxes, shifts, strict=True)
    }
    assert len(scene_corners) == 1
    for left, top, side in boxes:
        assert side > 0
        assert left >= 0
        assert top >= 0
        assert left + side <= size[0]
        assert top + side <= size[1]


def test_moved_frames_are_put_back_and_others_rejected() -> None:
    reference = reference_edges([edges(frame("day", n)) for n in range(6)])
    good = pose_of(edges(frame("night", 20)), reference, 160)
    assert good.shift == (0, 0)
    for shift in ((5, -3), (-7, 0), (0, 4)):
        for kind in ("night", "overcast"):
            pose = pose_of(edges(frame(kind, 21, shift=shift)), reference, 160)
            assert abs(pose.shift[0] - shift[0]) <= 1
            assert abs(pose.shift[1] - shift[1]) <= 1
    own = AlignSettings()
    day = pose_of(edges(frame("day", 22)), reference, 160)
    assert rejection_reason(day, day.agreement, 160, own) is None
    far = pose_of(edges(frame("day", 23, shift=(30, 0))), reference, 160)
    assert rejection_reason(far, day.agreement, 160, own) is not None
    other = pose_of(edges(frame("day", 24, place=5)), reference, 160)
    assert "another scene" in str(rejection_reason(other, day.agreement, 160, own))


DATES = st.lists(st.integers(1, 9).map("2013-05-{:02}".format), max_size=6, unique=True).map(sorted)


@given(
    longitude=st.floats(-180, 180),
    hours=st.tuples(st.floats(0.01, 11.99), st.floats(0.01, 11.99)),
)
def test_a_night_and_a_day_have_one_date_wherever_the_camera_is(
    longitude: float, hours: tuple[float, float]
) -> None:
    """By UTC, a night in Tokyo and a day in California would lie in two splits."""
    place = CameraSettings(latitude=0, longitude=longitude)
    thumbnail = np.zeros((1, 1, 3), np.uint8)
    for kind, begins in ((Class.DAY, 6), (Class.NIGHT, 18)):
        start = datetime(2013, 5, 2, begins, tzinfo=UTC) - timedelta(hours=longitude / 15)
        times = [start + timedelta(hours=passed) for passed in hours]
        frames = [Frame("", "c/1", "c", (9, 9), 0, thumbnail, time) for time in times]
        assert {date_of(one, kind, place) for one in frames} == {"2013-05-02"}
    assert date_of(frames[0], kind, CameraSettings(latitude=0, longitude=0)) == date_of(
        frames[0], kind, None
    )


@settings(max_examples=300)
@given(days=DATES, nights=DATES, seed=st.integers(0, 99))
def test_the_test_split_has_nights_and_days(days: list[str], nights: list[str], seed: int) -> None:
    """A date that the days put into the test stays there, whatever the nights need."""
    dates = {Class.DAY: days, Class.NIGHT: nights}
    splits = date_splits(dates, PairSettings(), seed)
    assert set(splits) == {*days, *nights}
    for own in dates.values():
        assert min(map(len, dates.values())) < 2 or "test" in {splits[date] for date in own}


@settings(max_examples=100)
@given(dates=DATES, seed=st.integers(0, 99))
def test_dates_with_nights_and_days_are_split_like_any_groups(dates: list[str], seed: int) -> None:
    own = PairSettings()
    assert date_splits(dict.fromkeys(Class, dates), own, seed) == by_hash(dates, own, seed)
