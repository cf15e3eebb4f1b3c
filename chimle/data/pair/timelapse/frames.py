"""Frames of cameras: time stamps, thumbnails and attributes."""

import base64
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.data.pair.pair_specs import stem
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.metadata import exif_value
from chimle.io.files import composed
from chimle.settings.timelapse import AttributeSettings, TimelapseSettings

THUMBNAIL = (24, 32)
"""Height and width of a frame's thumbnail, from which its light is measured."""
_STAMP = re.compile(r"(?<!\d)((?:19|20)\d{6})[_T-]?(\d{6})(?!\d)")
_DIRECTIVES = {
    "%Y": r"\d{4}",
    "%y": r"\d{2}",
    "%m": r"\d{2}",
    "%d": r"\d{2}",
    "%H": r"\d{2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%j": r"\d{3}",
    "%f": r"\d{1,6}",
    "%b": r"[A-Za-z]{3}",
}
_EXIF_BLOCK, _TAKEN = 0x8769, 0x9003
_YEARS = range(1800, 3000)
"""Years in which a frame may have been taken."""


@dataclass(frozen=True)
class Frame:
    """One frame of a camera.

    Attributes:
        file: of the fetched source.
        name: of the file in the source, without extension.
        camera: its folder.
        size: width and height, pixels.
        hash: perceptual hash.
        thumbnail: (24, 32, 3) uint8.
        time: when it was taken, UTC; None: unknown.
    """

    file: str
    name: str
    camera: str
    size: tuple[int, int]
    hash: int
    thumbnail: np.ndarray
    time: datetime | None

    @property
    def short(self) -> str:
        """Its name within its camera."""
        return self.name.rpartition("/")[2]


@dataclass
class Rejected:
    """Rejected frames: `name`, `because` (the reason) and, where useful, `detail`."""

    lines: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, reason: str, detail: str = "") -> None:
        """Reject a frame."""
        self.lines.append(
            {"name": name, "because": reason, **({"detail": detail} if detail else {})}
        )


def camera_of(name: str) -> str:
    """The camera of a frame: its folder; frames outside any folder share one camera."""
    return name.rpartition("/")[0] or "camera"


def stamp_pattern(pattern: str) -> re.Pattern[str]:
    """What a `strptime` pattern finds in a name.

    Raises:
        UserError: it has an unsupported directive, one twice, or none.
    """
    parts = re.split(r"(%.)", pattern)
    directives = [part for part in parts if part in _DIRECTIVES]
    unknown = any("%" in part for part in parts if part not in _DIRECTIVES)
    if unknown or not directives or len(set(directives)) < len(directives):
        raise UserError(
            f"`pair.timelapse.pattern` = {pattern!r}: use {', '.join(_DIRECTIVES)}, each once at "
            "most, and plain text"
        )
    return re.compile("".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts))


def stamp_of(name: str, pattern: str | None) -> datetime | None:
    """The time in a file's name, without a zone; None if there is none."""
    if pattern is None:
        found = _STAMP.search(name)
        text, form = ("".join(found.groups()), "%Y%m%d%H%M%S") if found else ("", "")
    else:
        found = stamp_pattern(pattern).search(name)
        text, form = (found.group(), pattern) if found else ("", "")
    try:
        return datetime.strptime(text, form) if found else None
    except ValueError:
        return None


def exif_time(path: Path) -> datetime | None:
    """Time in an image's EXIF block (DateTimeOriginal), without a zone; None if there is none."""
    text = exif_value(path, _EXIF_BLOCK, _TAKEN)
    try:
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


@dataclass(frozen=True)
class FrameReader:
    """Reads a frame's thumbnail and, if asked for, its EXIF time."""

    raw: Path
    exif: bool

    def __call__(self, file: str) -> dict[str, Any]:
        rgb = Image.fromarray(read_rgb(self.raw / file))
        thumbnail = np.asarray(rgb.resize(THUMBNAIL[::-1], Image.Resampling.BOX))
        time = exif_time(self.raw / file) if self.exif else None
        return {
            "thumbnail": base64.b64encode(thumbnail.tobytes()).decode(),
            "time": time.isoformat() if time else None,
        }


def make_frames(
    records: Sequence[Mapping[str, Any]],
    readings: Iterable[Mapping[str, Any]],
    settings: TimelapseSettings,
    rejected: Rejected,
) -> list[Frame]:
    """Frames of one camera that have its most frequent size and, where required, a time."""
    sizes = [(record["width"], record["height"]) for record in records]
    reference = max(sorted(set(sizes)), key=sizes.count)
    frames = []
    for record, reading, size in zip(records, readings, sizes, strict=True):
        name = stem(record["file"])
        camera = camera_of(name)
        if size != reference:
            detail = f"{size[0]}x{size[1]} instead of {reference[0]}x{reference[1]}"
            rejected.add(name, "another size than the camera's others", detail)
            continue
        taken = datetime.fromisoformat(reading["time"]) if reading["time"] else None
        if settings.stamps == "names":
            taken = stamp_of(name.rpartition("/")[2], settings.pattern)
        if taken is not None and taken.year not in _YEARS:  # of a clock that was never set
            taken = None
        if taken is None and settings.stamps != "none":
            rejected.add(name, "no time stamp")
            continue
        place = settings.cameras.get(camera)
        offset = timedelta(hours=place.utc_offset if place else 0)
        pixels = np.frombuffer(base64.b64decode(reading["thumbnail"]), dtype=np.uint8)
        frames.append(
            Frame(
                file=record["file"],
                name=name,
                camera=camera,
                size=size,
                hash=int(record["phash"], 16),
                thumbnail=pixels.reshape(*THUMBNAIL, 3),
                time=(taken - offset).replace(tzinfo=UTC) if taken else None,
            )
        )
    return frames


def read_attributes(path: Path, settings: AttributeSettings) -> dict[str, tuple[float, float]]:
    """Human annotations: by composed name without extension, the values of `day` and `night`.

    Raises:
        UserError: it is no text in UTF-8, or a line has no name, too few columns, or a value that
            is no number.
    """
    places = [settings.columns.index(name) + 1 for name in (settings.day, settings.night)]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path.name}: line {place} is not UTF-8: save the file as UTF-8") from None
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        columns = line.split("\t")
        try:
            day, night = (_number(columns[place].split(",")[0]) for place in places)
            name = composed(Path(columns[0]).with_suffix("").as_posix())
        except (IndexError, ValueError):
            raise UserError(
                f"{path.name}: line {number} is no file name with {len(settings.columns)} "
                "columns `value,confidence`: fix it or `pair.timelapse.attributes`"
            ) from None
        values[name] = (day, night)
    return values


def _number(text: str) -> float:
    """A finite number; `ValueError` for any other text."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
