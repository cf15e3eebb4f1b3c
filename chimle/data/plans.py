"""Which pairs a source gives: what becomes a target, from which square, and what its input is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chimle.errors import UserError
from chimle.settings import PairSettings

REGION = 1.5
"""Side of a built-in photograph's region over `pair.size`: reduced, it is sharp and clean."""

Half = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A pair to be made.

    Attributes:
        id: names the pair and, through it, its codes.
        group: what is split as one.
        target: file of the target, `targets/...` of the fetched source.
        box: left, top and side of the square that becomes the target, in the pixels of the
            target's file (or of its half).
        input: file of the source's own input; None: the target is degraded.
        target_half: which half of the file is the target; None: all of it.
        input_half: the same for the input.
        split: where the plan itself decides it.
        notes: what the manifest says besides.
    """

    id: str
    group: str
    target: str
    box: tuple[int, int, int]
    input: str | None = None
    target_half: Half | None = None
    input_half: Half | None = None
    split: str | None = None
    notes: tuple[tuple[str, Any], ...] = ()


def stem(file: str) -> str:
    """A file's name in a source, without kind and ending: `targets/a/b.png` is `a/b`."""
    return Path(file.split("/", 1)[1]).with_suffix("").as_posix()


def pair_id(name: str) -> str:
    """A name as a file name."""
    return name.replace("/", "__")


def group_of(name: str, settings: PairSettings) -> str:
    """What a photograph is split with, as `pair.group` says."""
    match settings.group:
        case "photograph":
            return name
        case "folder":
            return name.rpartition("/")[0] or name
        case int(length):
            folder, slash, file = name.rpartition("/")
            return f"{folder}{slash}{file[:length]}"


def centre_square(file: str, width: int, height: int, size: int) -> tuple[int, int, int]:
    """The largest central square of a photograph.

    Raises:
        UserError: it is smaller than `size`.
    """
    side = min(width, height)
    if side < size:
        raise UserError(
            f"{file} is {width}x{height}, smaller than `pair.size` {size}: remove it or lower "
            "`pair.size`"
        )
    return (width - side) // 2, (height - side) // 2, side


def plan_regions(records: list[dict[str, Any]], settings: PairSettings) -> Iterator[Planned]:
    """Disjoint squares of a few large photographs, each a group of its own."""
    side = int(settings.size * REGION)
    for record in records:
        name = stem(record["file"])
        for top in range(0, record["height"] - side + 1, side):
            for left in range(0, record["width"] - side + 1, side):
                region = f"{name}_{top:04}_{left:04}"
                yield Planned(region, region, record["file"], (left, top, side))


def plan_photographs(
    targets: list[dict[str, Any]], inputs: list[dict[str, Any]], settings: PairSettings
) -> Iterator[Planned]:
    """The central square of every photograph, with the source's own input where it has one."""
    own = {stem(record["file"]): record["file"] for record in inputs}
    for record in targets:
        file, name = record["file"], stem(record["file"])
        box = centre_square(file, record["width"], record["height"], settings.size)
        group = group_of(name, settings)
        yield Planned(pair_id(name), group, file, box, input=own.get(name))


def plan_halves(
    records: list[dict[str, Any]], input_half: Half, settings: PairSettings
) -> Iterator[Planned]:
    """Both halves of every photograph.

    Raises:
        UserError: a width is odd, or a half is too small.
    """
    target_half: Half = "right" if input_half == "left" else "left"
    for record in records:
        file, name = record["file"], stem(record["file"])
        if record["width"] % 2:
            raise UserError(f"{file} is {record['width']} pixels wide: halves need an even width")
        box = centre_square(file, record["width"] // 2, record["height"], settings.size)
        yield Planned(
            pair_id(name),
            group_of(name, settings),
            file,
            box,
            input=file,
            target_half=target_half,
            input_half=input_half,
        )
