"""What `chimle sample` does: pictures are read, answered and written, one after another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chimle.errors import UserError
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import SUFFIXES, Photograph, read_photograph, write_png
from chimle.images.pyramid import resize
from chimle.inference.match import Match
from chimle.inference.model import Model
from chimle.inference.sample_names import CodeMixture, blends, plain, recipe

GRID_SIDE = 160
"""Pixels of a picture in the overview grid."""


@dataclass(frozen=True)
class SampleRequest:
    """What to draw for every picture. At most one of `names`, `base` and `target` is set.

    Attributes:
        count: answers per picture.
        seed: seed of the samples.
        first: number of the first sample.
        names: samples wanted by name.
        base: sample to vary, or to start a blend from.
        keep_level: coarse levels that a variation keeps.
        end: sample that a blend ends at.
        target: picture that an answer shall come near to.
        candidates: of a match, per level; empty: as many as is usual.
        weights: file of perceptual weights for a match.
        degrade: make the input from a good photograph first.
    """

    count: int = 8
    seed: int = 0
    first: int = 0
    names: tuple[str, ...] = ()
    base: str | None = None
    keep_level: int = 2
    end: str | None = None
    target: Path | None = None
    candidates: tuple[int, ...] = ()
    weights: str | None = None
    degrade: bool = False

    def check(self, levels: int) -> None:
        """`UserError` where parts of the wish exclude each other or a model of `levels`."""
        if sum((bool(self.names), self.base is not None, self.target is not None)) > 1:
            raise UserError("`--sample`, `--from` and `--match` exclude each other: give one")
        if self.end is not None and self.base is None:
            raise UserError("`--to` ends a blend that `--from` begins: give both")
        if not 0 <= self.keep_level <= levels:
            raise UserError(f"`--keep-level` {self.keep_level}: this model has {levels} levels")


def find_pictures(names: Sequence[str]) -> dict[str, Path]:
    """Files, folders and patterns as pictures by the stem that their answers are named after.

    Raises:
        UserError: nothing is there, or two pictures would write the same answers.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f"{path} holds no pictures ({', '.join(sorted(SUFFIXES))})")
            found += inside
        elif path.exists():
            found.append(path)
        elif matches := sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            found += matches
        else:
            raise UserError(f"{path} does not exist")
    by_stem: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise UserError(f"{other} and {path} would write the same answers: rename one")
    return by_stem


def _labelled(
    model: Model, wish: SampleRequest, found: Match | None
) -> list[tuple[str, CodeMixture]]:
    """Recipes and what their files are called behind the picture's name."""
    if found is not None:
        return [(f"match_{found.name}", recipe(found.name))]
    if wish.base is not None and wish.end is not None:
        start, end = model.name(wish.base), model.name(wish.end)
        steps = enumerate(blends(start, end, wish.count))
        return [(f"{start}_to_{end}_{i:02}", step) for i, step in steps]
    if wish.base is not None:
        names = model.variations(wish.base, wish.keep_level, wish.count)
    elif wish.names:
        names = [model.name(name) for name in wish.names]
    else:
        names = plain(wish.count, model.levels, wish.first)
    return [(str(name), recipe(name)) for name in names]


def _match(model: Model, wish: SampleRequest, rgb: np.ndarray) -> Match | None:
    if wish.target is None:
        return None
    target = read_photograph(wish.target).rgb
    if wish.degrade:
        target = model.whole_inputs(target)
    return model.match(rgb, target, wish.candidates or None, wish.seed, wish.weights)


def _write(path: Path, answer: np.ndarray, photo: Photograph) -> None:
    """An answer with the transparency and the EXIF block of its photograph."""
    alpha = None if photo.alpha is None else resize(photo.alpha, answer.shape[:2])
    write_png(path, answer, alpha, photo.exif)


def answer(
    model: Model, path: Path, wish: SampleRequest, out: Path, grid: bool = True
) -> dict[str, Any]:
    """Draw and write the answers to one picture: `out`/STEM_NAME.png, and STEM_grid.png.

    Returns:
        Plain values: the picture, its answers' names and files, and the seconds spent.

    Raises:
        UserError: the picture cannot be read, or the wish does not fit it.
    """
    started = time.monotonic()
    photo = read_photograph(path)
    rgb = model.degraded(photo.rgb) if wish.degrade else photo.rgb
    found = _match(model, wish, rgb)
    labelled = _labelled(model, wish, found)
    row, files = [_small(rgb)], {}
    for (label, _), drawn in zip(
        labelled, model.draw(rgb, [r for _, r in labelled], wish.seed), strict=True
    ):
        file = out / f"{path.stem}_{label}.png"
        _write(file, drawn, photo)
        files[label] = str(file)
        row.append(_small(drawn))
    if grid:
        if wish.degrade:
            row.append(_small(photo.rgb))
        write_png(out / f"{path.stem}_grid.png", contact_sheet([row], GRID_SIDE))
    report: dict[str, Any] = {"picture": str(path), "seed": wish.seed, "answers": files}
    if found is not None:
        report["distances"] = list(found.distances)
        report["distances_of_sample_0"] = list(found.unsearched)
        report["distance"] = f"LPIPS over {found.features}"
    report["seconds"] = round(time.monotonic() - started, 3)
    return report


def _small(rgb: np.ndarray) -> np.ndarray:
    """The picture within a grid's square, its shape kept, on white."""
    height, width = rgb.shape[:2]
    scale = GRID_SIDE / max(height, width)
    fitted = resize(rgb, (max(round(height * scale), 1), max(round(width * scale), 1)))
    page = np.full((GRID_SIDE, GRID_SIDE, 3), 255, dtype=np.uint8)
    top, left = (GRID_SIDE - fitted.shape[0]) // 2, (GRID_SIDE - fitted.shape[1]) // 2
    page[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return page
