"""Which night is paired with which days."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from chimle.data.pair.pair_specs import PairSpec, SizeFilter, pair_id
from chimle.data.pair.splits import by_hash, unit_hash
from chimle.data.pair.timelapse.align import (
    REFERENCE_DAYS,
    Edges,
    Pose,
    common_square,
    edges,
    reference_edges,
    rejection_reason,
)
from chimle.data.pair.timelapse.frames import (
    Frame,
    FrameReader,
    Rejected,
    camera_of,
    make_frames,
    read_attributes,
)
from chimle.data.pair.timelapse.light_classes import Class, classify
from chimle.data.pair.timelapse.repeats import drop_repeats
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.io.journal import journalled, read_lines
from chimle.settings import RunSettings
from chimle.settings.timelapse import TimelapseSettings

SHOWN = 4
"""Frames of each class that a contact sheet shows per camera."""


@dataclass
class Camera:
    """A camera's usable frames, by class and in the order of their names.

    Attributes:
        name: its folder.
        frames: per class.
        poses: of nights and days, by name.
    """

    name: str
    frames: dict[Class, list[Frame]]
    poses: dict[str, Pose] = field(default_factory=dict)


@dataclass
class Timelapse:
    """What cameras give.

    Attributes:
        pairs: to be made.
        report: for the manifest: per camera how many frames there are of each class and how many
            are left out for each reason, files to look at, and every frame that is left out.
    """

    pairs: list[PairSpec]
    report: dict[str, Any]


def _spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """At most `count` frames from beginning to end."""
    if len(frames) <= count:
        return list(frames)
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def align(
    cameras: Sequence[Camera], settings: RunSettings, raw: Path, work: Path, rejected: Rejected
) -> None:
    """Find the poses of nights and days, where a camera has both; reject what does not fit."""
    assert settings.pair.timelapse is not None
    chosen, items = [], []
    for number, camera in enumerate(cameras):
        days = camera.frames[Class.DAY]
        if not days or not camera.frames[Class.NIGHT]:
            continue
        reference = work / f"usual_{number:05}.npy"
        seen = [edges(read_rgb(raw / frame.file)) for frame in _spread(days, REFERENCE_DAYS)]
        np.save(reference, reference_edges(seen))
        chosen.append(camera)
        items += [
            (f.file, reference) for kind in (Class.NIGHT, Class.DAY) for f in camera.frames[kind]
        ]
    journalled(work / "poses.jsonl", items, Edges(raw), say=lambda t: print(f"pair: aligned {t}"))
    lines = read_lines(work / "poses.jsonl") if items else iter(())
    for camera in chosen:
        frames = [f for kind in (Class.NIGHT, Class.DAY) for f in camera.frames[kind]]
        poses = [
            Pose(tuple(line["shift"]), line["agreement"]) for line in islice(lines, len(frames))
        ]
        nights = len(camera.frames[Class.NIGHT])
        usual_agreement = float(np.median([pose.agreement for pose in poses[nights:]]))
        fitting = []
        for frame, pose in zip(frames, poses, strict=True):
            reason = rejection_reason(
                pose, usual_agreement, frame.size[0], settings.pair.timelapse.align
            )
            if reason:
                said = f"shift {pose.shift[0]}, {pose.shift[1]}; agreement {pose.agreement:.2f}"
                rejected.add(frame.name, reason, said)
            else:
                fitting.append(frame)
                camera.poses[frame.name] = pose
        for kind in (Class.NIGHT, Class.DAY):
            camera.frames[kind] = [f for f in camera.frames[kind] if f.name in camera.poses]


def date_of(frame: Frame, class_: Class) -> str:
    """The date of a day, or the one on which a night began, UTC."""
    assert frame.time is not None
    moment = frame.time - timedelta(hours=12) if class_ is Class.NIGHT else frame.time
    return moment.date().isoformat()


def _shuffled(frames: Sequence[Frame], purpose: str, seed: int) -> list[Frame]:
    return sorted(frames, key=lambda frame: unit_hash(seed, f"{purpose}/{frame.name}"))


def balanced(
    nights: Sequence[Frame], days: Sequence[Frame], each: int, seed: int
) -> Iterator[tuple[Frame, Frame]]:
    """Every night with `each` different days, or all there are.

    Days are dealt out like cards, all of them before any comes again and in another order every
    time, so that each is used equally often, give or take one. Orders follow from hashes of names.
    """
    nights = _shuffled(nights, "night", seed)
    each = min(each, len(days))
    waiting: list[Frame] = []
    turn = 0
    for night in nights:
        taken: set[str] = set()
        while len(taken) < each:
            # A day that this night has already waits for the next one.
            place = next((i for i, day in enumerate(waiting) if day.name not in taken), None)
            if place is None:
                waiting += _shuffled(days, f"day/{turn}", seed)
                turn += 1
            else:
                day = waiting.pop(place)
                taken.add(day.name)
                yield night, day


def _split_of(frames: Mapping[Class, Sequence[Frame]], settings: RunSettings) -> dict[str, str]:
    """Splits of frames by their dates, so that some nights and some days are in the test."""
    chosen: dict[str, str] = {}
    for kind in (Class.DAY, Class.NIGHT):
        dates = sorted({date_of(frame, kind) for frame in frames[kind]})
        chosen |= by_hash(dates, settings.pair, settings.seed)
    return chosen


def _pairs(camera: Camera, settings: RunSettings, small: SizeFilter) -> Iterator[PairSpec]:
    lapse = settings.pair.timelapse
    assert lapse is not None
    splits: dict[str, str] = _split_of(camera.frames, settings) if lapse.split == "date" else {}

    def split_of(frame: Frame, kind: Class) -> str | None:
        return splits[date_of(frame, kind)] if splits else None

    nights, days = camera.frames[Class.NIGHT], camera.frames[Class.DAY]
    for split in sorted({split_of(night, Class.NIGHT) for night in nights}, key=str):
        mine = [night for night in nights if split_of(night, Class.NIGHT) == split]
        theirs = [day for day in days if split_of(day, Class.DAY) == split]
        for night, day in balanced(mine, theirs, lapse.days_per_night, settings.seed):
            yield from _planned(camera, night, day, split, small)


def _planned(
    camera: Camera, night: Frame, day: Frame, split: str | None, small: SizeFilter
) -> Iterator[PairSpec]:
    """The pair of a night and a day; none where what both show is too small."""
    shifts = [camera.poses[frame.name].shift for frame in (day, night)]
    box, input_box = common_square(day.size, shifts)
    if not small.fits(day.file, box[2], box[2]):
        return
    group = camera.name if split is None else f"{camera.name}/{date_of(night, Class.NIGHT)}"
    notes = {
        "camera": camera.name,
        "night": {"frame": night.name, "time": _time(night), "shift": shifts[1]},
        "day": {"frame": day.name, "time": _time(day), "shift": shifts[0]},
    }
    yield PairSpec(
        id="__".join(pair_id(part) for part in (camera.name, night.short, day.short)),
        group=group,
        target=day.file,
        box=box,
        input=night.file,
        input_box=input_box,
        split=split,
        notes=tuple(notes.items()),
    )


def _time(frame: Frame) -> str | None:
    return frame.time.isoformat() if frame.time else None


def _files(frames: Sequence[Frame]) -> list[str]:
    return [frame.file for frame in _spread(frames, SHOWN)]


def _cameras(
    records: Sequence[dict[str, Any]],
    lapse: TimelapseSettings,
    attributes: Mapping[str, tuple[float, float]] | None,
    looks: Iterator[Mapping[str, Any]],
    rejected: Rejected,
) -> Iterator[tuple[Camera, Counter[Class]]]:
    """Cameras with the classes of their frames; glances are kept of one camera at a time."""

    def camera(record: dict[str, Any]) -> str:
        return camera_of(record["file"].split("/", 1)[1])

    for name, group in groupby(records, key=camera):
        members = list(group)
        frames = make_frames(members, islice(looks, len(members)), lapse, rejected)
        found = classify(drop_repeats(frames, rejected), lapse, attributes, rejected)
        counts = Counter(kind for _, kind in found)
        if lapse.dusk == "night":
            found = [(f, Class.NIGHT if kind is Class.DUSK else kind) for f, kind in found]
        by_class = {kind: [f for f, own in found if own is kind] for kind in Class}
        yield Camera(name, by_class), counts


def plan_timelapse(
    records: Sequence[dict[str, Any]],
    annotations: Path | None,
    settings: RunSettings,
    raw: Path,
    work: Path,
    small: SizeFilter,
) -> Timelapse:
    """Pairs of nights and days of fixed cameras.

    Args:
        records: of the frames, in any order.
        annotations: the source's file of attributes, where it has one.
        settings: the task's, with `pair.timelapse`.
        raw: the fetched source.
        work: folder for journals, kept until the pairs are made.
        small: judges the sizes of what is paired.

    Raises:
        UserError: no frame can be used, or no camera has both nights and days.
    """
    lapse = settings.pair.timelapse
    assert lapse is not None
    work.mkdir(parents=True, exist_ok=True)
    records = sorted(
        records, key=lambda record: (camera_of(record["file"].split("/", 1)[1]), record["file"])
    )
    attributes = read_attributes(annotations, lapse.attributes) if annotations else None
    look = FrameReader(raw, lapse.stamps == "exif")
    files = [record["file"] for record in records]
    journalled(work / "looks.jsonl", files, look, say=lambda t: print(f"pair: looked at {t}"))
    rejected = Rejected()
    looks = read_lines(work / "looks.jsonl")
    cameras, counts = [], {}
    for camera, count in _cameras(records, lapse, attributes, looks, rejected):
        cameras.append(camera)
        counts[camera.name] = {str(kind): count[kind] for kind in Class}
    align(cameras, settings, raw, work, rejected)
    pairs = [pair for camera in cameras for pair in _pairs(camera, settings, small)]
    reasons: dict[str, dict[str, int]] = {camera.name: {} for camera in cameras}
    for line in rejected.lines:
        own = reasons[camera_of(line["name"])]
        own[line["because"]] = own.get(line["because"], 0) + 1
    report = {
        "cameras": {
            camera.name: {
                **counts[camera.name],
                "rejected": dict(sorted(reasons[camera.name].items())),
                "shown": {str(kind): _files(camera.frames[kind]) for kind in Class},
            }
            for camera in cameras
        },
        "rejected": sorted(rejected.lines, key=lambda line: line["name"]),
    }
    if not pairs:
        said = "; ".join(f"{n} {c['night']} nights, {c['day']} days" for n, c in counts.items())
        raise UserError(f"`pair.timelapse`: no camera has nights and days that fit ({said})")
    return Timelapse(pairs, report)
