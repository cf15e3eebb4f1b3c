"""Specifications of pairs: target file and square, input, group, split."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from chimle.errors import UserError
from chimle.io.files import shortened
from chimle.settings.pair import PairSettings

REGION = 1.5
"""Side of a built-in photograph's region, relative to `pair.size`: the reduction sharpens it."""

LONGEST_ID = 180
"""Bytes of a pair's id; names of its files have some more, and file systems take 255."""

Half = Literal["left", "right"]
Box = tuple[int, int, int]
"""Left, top and side of a square, pixels."""


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Specification of a pair.

    Attributes:
        id: name of the pair, which determines its codes.
        group: pairs of one group share a split.
        target: file of the target, `targets/...` of the fetched source.
        box: left, top and side of the square that becomes the target, in the pixels of the
            target's file (or of its half).
        input: file of the source's own input; None: the target is degraded.
        input_box: the square of the input, in its own pixels; None: as the target's.
        target_half: which half of the file is the target; None: all of it.
        input_half: the same for the input.
        split: fixed by the plan; None: chosen by the group.
        notes: further fields of the manifest.
    """

    id: str
    group: str
    target: str
    box: Box
    input: str | None = None
    input_box: Box | None = None
    target_half: Half | None = None
    input_half: Half | None = None
    split: str | None = None
    notes: tuple[tuple[str, Any], ...] = ()


def stem(file: str) -> str:
    """A file's name in a source, without kind and extension: `targets/a/b.png` is `a/b`."""
    return Path(file.split("/", 1)[1]).with_suffix("").as_posix()


def pair_id(name: str) -> str:
    """A name with `__` for `/`: a file name, another one for every name.

    A hash ends those that are too long, and those that another name would give, too: `a__b` is the
    id of `a/b`.
    """
    plain = name.replace("/", "__")
    if plain.replace("__", "/") != name:
        plain += f"~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return shortened(plain, LONGEST_ID)


def group_of(name: str, settings: PairSettings) -> str:
    """The group of an image, by `pair.group`."""
    match settings.group:
        case "image":
            return name
        case "folder":
            return name.rpartition("/")[0] or name
        case int(length):
            folder, slash, file = name.rpartition("/")
            return f"{folder}{slash}{file[:length]}"


def centre_square(width: int, height: int) -> Box:
    """The largest central square of an image."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def same_aspect(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two images (height, width) have one aspect ratio, but for a pixel or a hundredth."""
    height, width = first
    return abs(height - second[0] * width / second[1]) <= max(1.0, 0.01 * height)


@dataclass
class SizeFilter:
    """Checks that images are large enough and can be halved, and lists those that do not fit.

    Attributes:
        settings: smallest size, and whether smaller images are an error.
        reduction: target side divided by input side.
        skipped: name and reason of the images that do not fit.
    """

    settings: PairSettings
    reduction: int
    skipped: list[dict[str, str]] = field(default_factory=list)

    def fits(self, file: str, width: int, height: int) -> bool:
        """Whether a target's sides reach `pair.size`.

        Raises:
            UserError: they do not and `pair.small` is `refuse`.
        """
        size = self.settings.size
        return self._reaches(size, f"`pair.size` {size}", file, width, height)

    def input_fits(self, file: str, width: int, height: int) -> bool:
        """Whether a given input's sides reach `pair.size` divided by the reduction.

        Raises:
            UserError: they do not and `pair.small` is `refuse`.
        """
        side = self.settings.size // self.reduction
        words = f"the {side} pixels of an input at `pair.size` {self.settings.size}"
        return self._reaches(side, words, file, width, height)

    def common_square_fits(self, file: str, other: str, side: int) -> str | None:
        """Why the square that two images have in common is too small; None: it is not.

        Neither of the two is listed: one of them may have more in common with a third.

        Raises:
            UserError: it is too small and `pair.small` is `refuse`.
        """
        size = self.settings.size
        if side >= size:
            return None
        sentence = (
            f"{file} and {other} have {side}x{side} in common, smaller than `pair.size` {size}"
        )
        self._check_allowed(sentence, "one of them")
        return sentence

    def has_halves(self, file: str, width: int) -> bool:
        """Whether a width is even.

        Raises:
            UserError: it is not and `pair.small` is `refuse`.
        """
        if width % 2 == 0:
            return True
        sentence = f"{file} is {width} pixels wide, which has no two halves"
        if self.settings.small == "refuse":
            raise UserError(f"{sentence}: crop or remove it, or set `pair.small` to skip")
        self.leave_out(file, sentence)
        return False

    def leave_out(self, file: str, sentence: str) -> None:
        """List an image that is left out."""
        self.skipped.append({"name": stem(file), "because": sentence})

    def _reaches(self, side: int, words: str, file: str, width: int, height: int) -> bool:
        if min(width, height) >= side:
            return True
        sentence = f"{file} is {width}x{height}, smaller than {words}"
        self._check_allowed(sentence, "it")
        self.leave_out(file, sentence)
        return False

    def _check_allowed(self, sentence: str, removed: str) -> None:
        if self.settings.small == "refuse":
            raise UserError(
                f"{sentence}: remove {removed}, lower `pair.size`, or set `pair.small` to skip"
            )


def plan_regions(records: list[dict[str, Any]], settings: PairSettings) -> Iterator[PairSpec]:
    """Disjoint squares of a few large images, each a group of its own."""
    side = int(settings.size * REGION)
    for record in records:
        name = stem(record["file"])
        for top in range(0, record["height"] - side + 1, side):
            for left in range(0, record["width"] - side + 1, side):
                region = f"{name}_{top:04}_{left:04}"
                yield PairSpec(region, region, record["file"], (left, top, side))


def plan_images(
    targets: list[dict[str, Any]], inputs: list[dict[str, Any]], size_filter: SizeFilter
) -> Iterator[PairSpec]:
    """The central square of every image, with the source's own input where it has one.

    Raises:
        UserError: an image or an input is too small.
    """
    own = {stem(record["file"]): record for record in inputs}
    for record in targets:
        file, name = record["file"], stem(record["file"])
        if not size_filter.fits(file, record["width"], record["height"]):
            continue
        given = own.get(name)
        if given and not size_filter.input_fits(given["file"], given["width"], given["height"]):
            continue
        box = centre_square(record["width"], record["height"])
        group = group_of(name, size_filter.settings)
        yield PairSpec(pair_id(name), group, file, box, input=given["file"] if given else None)


def plan_halves(
    records: list[dict[str, Any]], input_half: Half, size_filter: SizeFilter
) -> Iterator[PairSpec]:
    """Both halves of every image.

    Raises:
        UserError: a width is odd, or a half is too small.
    """
    target_half: Half = "right" if input_half == "left" else "left"
    for record in records:
        file, name = record["file"], stem(record["file"])
        if not size_filter.has_halves(file, record["width"]):
            continue
        if not size_filter.fits(file, record["width"] // 2, record["height"]):
            continue
        box = centre_square(record["width"] // 2, record["height"])
        yield PairSpec(
            pair_id(name),
            group_of(name, size_filter.settings),
            file,
            box,
            input=file,
            target_half=target_half,
            input_half=input_half,
        )
