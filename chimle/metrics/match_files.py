"""Matching of output files to targets and inputs: by folders, by names, or by a CSV table."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.walk import LeftOut, skip_reason, walk
from chimle.io.csv_rows import opened_csv
from chimle.io.files import composed, resolved
from chimle.metrics.prediction import Prediction, missed_size

_NUMBER = re.compile(r"_\d+(\.\d+)*$")
"""What follows the target's name in a sample's: `_3`, or `_3.3.5.5` of a variation."""
GRID = "_grid"
"""Suffix of the overview that `chimle sample` writes beside its samples; it is no sample."""


@dataclass(frozen=True)
class PredictionFiles:
    """Files of one input: its samples in the order of their numbers, its target, its input."""

    id: str
    samples: tuple[Path, ...]
    target: Path
    input: Path | None = None


@dataclass(frozen=True)
class MatchedFiles:
    """Files to score, and files that are no outputs, targets or inputs, with reasons."""

    predictions: list[PredictionFiles]
    left_out: list[LeftOut]


@dataclass(frozen=True, slots=True)
class _Named:
    """An image of a folder; its name is its path below it without the extension, composed."""

    path: Path
    name: str

    @property
    def order(self) -> list[tuple[int, str]]:
        """Sort key that puts 2 before 10."""
        return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", self.name)]


def _images(folder: Path, others: Sequence[Path], left_out: list[LeftOut]) -> list[_Named]:
    """Image files below a folder, but for other folders in it; the rest joins `left_out`."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    found = walk([folder], others, "another folder of the command")
    left_out += found.left_out
    named = [
        _Named(one.path, composed(one.inside.with_suffix("").as_posix())) for one in found.images
    ]
    return sorted(named, key=lambda one: one.order)


def _by_name(folder: Path, others: Sequence[Path], left_out: list[LeftOut]) -> dict[str, Path]:
    """Images below a folder by their names."""
    found: dict[str, Path] = {}
    for image in _images(folder, others, left_out):
        other = found.setdefault(image.name, image.path)
        if other != image.path:
            raise UserError(f"{other} and {image.path} have one name: keep one of them")
    if not found:
        raise UserError(f"{folder} holds no images")
    return found


def _owner(image: _Named, names: Collection[str]) -> str | None:
    """The target NAME of `NAME.png`, `NAME_3.png`, `NAME_3.3.5.5.png` or `NAME/3.png`.

    None for an overview grid.
    """
    if image.name.endswith(GRID) and image.name.removesuffix(GRID) in names:
        return None
    possible = (image.name, _NUMBER.sub("", image.name), image.name.rpartition("/")[0])
    fitting = [name for name in dict.fromkeys(possible) if name in names]
    if not fitting:
        end = f"NAME_0{image.path.suffix}"
        raise UserError(f"{image.path} belongs to no target: call it {end} as its target")
    if len(fitting) > 1:
        raise UserError(
            f"{image.path} may belong to {fitting[0]} or {fitting[1]}: "
            "use a folder per input instead"
        )
    return fitting[0]


def _check_folders(outputs: Path, names: Collection[str], others: Sequence[Path]) -> None:
    """`UserError` where a folder directly in the outputs is named after no target."""
    known, known_folders = {name.split("/")[0] for name in names}, {resolved(o) for o in others}
    for folder in sorted(p for p in outputs.iterdir() if p.is_dir() and not skip_reason(p.name)):
        if composed(folder.name) not in known and folder.resolve() not in known_folders:
            raise UserError(f"{folder} belongs to no target: call it as its target's file")


def find_in_folders(
    outputs: Path, targets: Path, inputs: Path | None, others: Sequence[Path] = ()
) -> MatchedFiles:
    """Outputs named after targets: `OUTPUTS/NAME/*.png`, `OUTPUTS/NAME_0.png`, `OUTPUTS/NAME.png`.

    NAME may lie in folders: `TARGETS/cat/001.jpg` has the output `OUTPUTS/cat/001_0.png`.

    Args:
        outputs, targets, inputs: folders, possibly within each other.
        others: folders that the command writes to; what is in them is no image of it.

    Raises:
        UserError: a folder is missing or empty, or a file has no target, input or sample.
    """
    given_folders = (outputs, targets, inputs, *others)
    folders = [folder for folder in given_folders if folder is not None]
    left_out: list[LeftOut] = []
    by_target = _by_name(targets, folders, left_out)
    given = None if inputs is None else _by_name(inputs, folders, left_out)
    samples: dict[str, list[Path]] = {name: [] for name in by_target}
    for image in _images(outputs, folders, left_out):
        if (name := _owner(image, by_target)) is not None:
            samples[name].append(image.path)
        else:
            left_out.append(LeftOut(image.path, "an overview grid"))
    _check_folders(outputs, by_target, folders)
    found = []
    for name, target in sorted(by_target.items()):
        if not samples[name]:
            raise UserError(f"{target} has no sample in {outputs}: add one, or remove the target")
        if given is not None and name not in given:
            raise UserError(f"{target} has no input in {inputs}: add one, or remove the target")
        own = None if given is None else given[name]
        found.append(PredictionFiles(name, tuple(samples[name]), target, own))
    if given is not None and (alone := sorted(set(given) - set(by_target))):
        raise UserError(f"{given[alone[0]]} has no target in {targets}: add one, or remove it")
    return MatchedFiles(found, list(dict.fromkeys(left_out)))


def find_in_table(table: Path) -> list[PredictionFiles]:
    """A CSV file with columns `output`, `target` and, optionally, `input`; a row per sample.

    Paths are relative to the file's folder. Rows of one target are the samples of one input, in
    the order of the rows.

    Raises:
        UserError: the file, a column or a cell is missing, or one target has two inputs.
    """
    grouped: dict[str, list[dict[str, str]]] = {}
    with opened_csv(table) as (content, rows):
        columns = content.columns
        if lacking := [name for name in ("output", "target") if name not in columns]:
            raise UserError(f"{table} has no column `{lacking[0]}`: name one in its first line")
        used = [name for name in ("output", "target", "input") if name in columns]
        for row in rows:
            if empty := [name for name in used if not row.get(name)]:
                raise UserError(f"{table}, line {content.line}: `{empty[0]}` is empty: fill it in")
            grouped.setdefault(row["target"], []).append(row)
    if not grouped:
        raise UserError(f"{table} lists no sample: add a row for each")
    found = []
    for target, own in sorted(grouped.items()):
        given = {row["input"] for row in own} if "input" in used else set()
        if len(given) > 1:
            raise UserError(f"{table}: target {target} has several inputs: give it one")
        samples = tuple(table.parent / row["output"] for row in own)
        only = table.parent / given.pop() if given else None
        found.append(PredictionFiles(target, samples, table.parent / target, only))
    return found


def _stacked(files: PredictionFiles, target: np.ndarray) -> np.ndarray:
    """(S, H, W, 3) uint8; `UserError` names a sample whose size is not its target's."""
    samples = []
    for path in files.samples:
        sample = read_rgb(path)
        if sample.shape != target.shape:
            own, its = (f"{shape[1]}x{shape[0]}" for shape in (sample.shape, target.shape))
            raise UserError(
                f"{path} has {own} pixels and its target {files.target} {its}: "
                "they must be of one size"
            )
        samples.append(sample)
    return np.stack(samples)


def _check_input(
    files: PredictionFiles, given: np.ndarray, target: np.ndarray, enlarges: bool
) -> None:
    """`UserError` where an input does not have the size that its task requires."""
    if required := missed_size(given.shape, target.shape, enlarges):
        (rows, columns), (height, width) = given.shape[:2], target.shape[:2]
        raise UserError(
            f"{files.input} has {columns}x{rows} pixels and its target {files.target} "
            f"{width}x{height}: they must be {required}"
        )


def read_predictions(found: Sequence[PredictionFiles], enlarges: bool) -> Iterator[Prediction]:
    """Predictions, read one input at a time.

    Args:
        found: the files.
        enlarges: whether inputs may be smaller than targets.

    Raises:
        UserError: a count or size does not fit, or a file is no image.
    """
    for files in found:
        if len(files.samples) != len(found[0].samples):
            raise UserError(
                f"{files.id} has {len(files.samples)} samples and {found[0].id} "
                f"{len(found[0].samples)}: every input needs equally many"
            )
    for files in found:
        target = read_rgb(files.target)
        given = None if files.input is None else read_rgb(files.input)
        if given is not None:
            _check_input(files, given, target, enlarges)
        yield Prediction(files.id, _stacked(files, target), target, given)
