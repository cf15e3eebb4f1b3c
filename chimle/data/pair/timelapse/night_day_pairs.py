"""Pairs of nights and days of fixed cameras."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from chimle.data.even_spacing import evenly_spaced
from chimle.data.pair.pair_specs import PairSpec, SizeFilter, pair_id
from chimle.data.pair.timelapse.align import (
    REFERENCE_DAYS,
    Edges,
    Pose,
    common_square,
    edges,
    reference_edges,
    rejection_reason,
)
from chimle.data.pair.timelapse.balance import balanced
from chimle.data.pair.timelapse.dates import date_of, date_splits
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
from chimle.settings.pair import PairStageSettings
from chimle.settings.timelapse import CameraSettings, TimelapseSettings

SHOWN = 4
"""Frames of each class per camera in a contact sheet."""


@dataclass
class Camera:
    """The usable frames of a camera.

    Attributes:
        name: its folder.
        frames: by class, in the order of their names.
        poses: of nights and days, by name.
    """

    name: str
    frames: dict[Class, list[Frame]]
    poses: dict[str, Pose] = field(default_factory=dict)


@dataclass
class Timelapse:
    """Pairs of all cameras.

    Attributes:
        pairs: specifications.
        report: for the manifest: per camera the number of frames of each class and of rejected
            frames by reason, files for a contact sheet, and every rejected frame.
    """

    pairs: list[PairSpec]
    report: dict[str, Any]


def _spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """At most `count` frames, evenly spaced."""
    return [frames[i] for i in evenly_spaced(len(frames), count)]


def align(
    cameras: Sequence[Camera],
    settings: PairStageSettings,
    raw: Path,
    work: Path,
    rejected: Rejected,
) -> None:
    """Find the poses of nights and days of cameras that have both; reject misfits."""
    assert settings.pair.timelapse is not None
    aligned, items = [], []
    for number, camera in enumerate(cameras):
        days = camera.frames[Class.DAY]
        if not days or not camera.frames[Class.NIGHT]:
            continue
        reference = work / f"reference_{number:05}.npy"
        seen = [edges(read_rgb(raw / frame.file)) for frame in _spread(days, REFERENCE_DAYS)]
        np.save(reference, reference_edges(seen))
        aligned.append(camera)
        items += [
            (f.file, reference) for kind in (Class.NIGHT, Class.DAY) for f in camera.frames[kind]
        ]
    journalled(
        work / "poses.jsonl", items, Edges(raw), report=lambda t: print(f"pair: aligned {t}")
    )
    lines = read_lines(work / "poses.jsonl") if items else iter(())
    for camera in aligned:
        frames = [f for kind in (Class.NIGHT, Class.DAY) for f in camera.frames[kind]]
        poses = [
            Pose(tuple(line["shift"]), line["agreement"]) for line in islice(lines, len(frames))
        ]
        nights = len(camera.frames[Class.NIGHT])
        reference_agreement = float(np.median([pose.agreement for pose in poses[nights:]]))
        fitting = []
        for frame, pose in zip(frames, poses, strict=True):
            reason = rejection_reason(
                pose, reference_agreement, frame.size[0], settings.pair.timelapse.align
            )
            if reason:
                detail = f"shift {pose.shift[0]}, {pose.shift[1]}; agreement {pose.agreement:.2f}"
                rejected.add(frame.name, reason, detail)
            else:
                fitting.append(frame)
                camera.poses[frame.name] = pose
        for kind in (Class.NIGHT, Class.DAY):
            camera.frames[kind] = [f for f in camera.frames[kind] if f.name in camera.poses]


def _pairs(
    camera: Camera, settings: PairStageSettings, size_filter: SizeFilter, rejected: Rejected
) -> Iterator[PairSpec]:
    """Pairs of a camera; rejects nights whose split has no day.

    A frame is left out as too small, once, where it is in no pair for that reason.
    """
    timelapse = settings.pair.timelapse
    assert timelapse is not None
    splits: dict[str, str] = {}
    place = timelapse.cameras.get(camera.name)
    if timelapse.split == "date":
        dates = {
            kind: sorted({date_of(frame, kind, place) for frame in camera.frames[kind]})
            for kind in (Class.DAY, Class.NIGHT)
        }
        splits = date_splits(dates, settings.pair, settings.seed)

    def split_of(frame: Frame, kind: Class) -> str | None:
        return splits[date_of(frame, kind, place)] if splits else None

    nights, days = (
        [f for f in camera.frames[kind] if size_filter.fits(f.file, *f.size)]
        for kind in (Class.NIGHT, Class.DAY)
    )
    paired, small = set[str](), dict[str, str]()
    for split in sorted({split_of(night, Class.NIGHT) for night in nights}, key=str):
        mine = [night for night in nights if split_of(night, Class.NIGHT) == split]
        theirs = [day for day in days if split_of(day, Class.DAY) == split]
        if not theirs:
            for night in mine:
                rejected.add(night.name, "no day to pair it with", f"split {split}" * bool(split))
        for night, day in balanced(mine, theirs, timelapse.days_per_night, settings.seed):
            pair = _planned(camera, night, day, split, place)
            reason = size_filter.common_square_fits(day.file, night.file, pair.box[2])
            if reason is None:
                paired |= {night.file, day.file}
                yield pair
            else:
                small = {night.file: reason, day.file: reason} | small
    for file, reason in small.items():
        if file not in paired:
            size_filter.leave_out(file, reason)


def _planned(
    camera: Camera, night: Frame, day: Frame, split: str | None, place: CameraSettings | None
) -> PairSpec:
    """The pair of a night and a day."""
    shifts = [camera.poses[frame.name].shift for frame in (day, night)]
    box, input_box = common_square(day.size, shifts)
    date = "" if split is None else f"/{date_of(night, Class.NIGHT, place)}"
    notes = {
        "camera": camera.name,
        "night": {"frame": night.name, "time": _time(night), "shift": shifts[1]},
        "day": {"frame": day.name, "time": _time(day), "shift": shifts[0]},
    }
    return PairSpec(
        id=pair_id(f"{camera.name}/{night.short}/{day.short}"),
        group=f"{camera.name}{date}",
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
    timelapse: TimelapseSettings,
    attributes: Mapping[str, tuple[float, float]] | None,
    readings: Iterator[Mapping[str, Any]],
    rejected: Rejected,
) -> Iterator[tuple[Camera, Counter[Class]]]:
    """Cameras with the classes of their frames, with thumbnails of one camera in memory."""

    def camera(record: dict[str, Any]) -> str:
        return camera_of(record["file"].split("/", 1)[1])

    for name, group in groupby(records, key=camera):
        members = list(group)
        frames = make_frames(members, islice(readings, len(members)), timelapse, rejected)
        found = classify(drop_repeats(frames, rejected), timelapse, attributes, rejected)
        counts = Counter(kind for _, kind in found)
        if timelapse.dusk == "night":
            found = [(f, Class.NIGHT if kind is Class.DUSK else kind) for f, kind in found]
        by_class = {kind: [f for f, own in found if own is kind] for kind in Class}
        yield Camera(name, by_class), counts


def plan_timelapse(
    records: Sequence[dict[str, Any]],
    annotations: Path | None,
    settings: PairStageSettings,
    raw: Path,
    work: Path,
    size_filter: SizeFilter,
) -> Timelapse:
    """Pairs of nights and days of fixed cameras.

    Args:
        records: of the frames, in any order.
        annotations: the source's file of attributes, if it has one.
        settings: the task's, with `pair.timelapse`.
        raw: the fetched source.
        work: folder for journals, kept until the pairs are made.
        size_filter: checks the size of the common square.

    Raises:
        UserError: no frame can be used, no camera has both nights and days, or the settings give
            the place of a camera that is none.
    """
    timelapse = settings.pair.timelapse
    assert timelapse is not None
    folders = {camera_of(record["file"].split("/", 1)[1]) for record in records}
    if unknown := sorted(set(timelapse.cameras) - folders):
        raise UserError(
            f"`pair.timelapse.cameras` names {unknown[0]}, but no folder of the source is called "
            "so: fix its spelling or remove it"
        )
    work.mkdir(parents=True, exist_ok=True)
    records = sorted(
        records, key=lambda record: (camera_of(record["file"].split("/", 1)[1]), record["file"])
    )
    attributes = read_attributes(annotations, timelapse.attributes) if annotations else None
    reader = FrameReader(raw, timelapse.stamps == "exif")
    files = [record["file"] for record in records]
    journalled(work / "frames.jsonl", files, reader, report=lambda t: print(f"pair: read {t}"))
    rejected = Rejected()
    readings = read_lines(work / "frames.jsonl")
    cameras, counts = [], {}
    for camera, count in _cameras(records, timelapse, attributes, readings, rejected):
        cameras.append(camera)
        counts[camera.name] = {str(kind): count[kind] for kind in Class}
    align(cameras, settings, raw, work, rejected)
    pairs = [pair for camera in cameras for pair in _pairs(camera, settings, size_filter, rejected)]
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
        found = "; ".join(f"{n} {c['night']} nights, {c['day']} days" for n, c in counts.items())
        small = len(size_filter.skipped)
        found += f"; {small} frames are smaller than `pair.size`" if small else ""
        raise UserError(f"`pair.timelapse`: no camera has nights and days that fit ({found})")
    return Timelapse(pairs, report)
