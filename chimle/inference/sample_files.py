"""Sampling of image files for `chimle sample`: each image is read, sampled and written in turn."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chimle.errors import UserError
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import SUFFIXES, DecodedImage, read_image, write_png
from chimle.images.pyramid import resize
from chimle.inference.match import Match
from chimle.inference.model import Model
from chimle.inference.sample_names import CodeMixture, blends, mixture_of, plain

GRID_SIDE = 160
"""Side of an image in the overview grid, pixels."""


@dataclass(frozen=True)
class SampleRequest:
    """Which samples to draw of every image. At most one of `names`, `base` and `target` is set.

    Attributes:
        count: samples per image.
        seed: seed of the samples.
        first: number of the first sample.
        names: samples by name.
        base: sample to vary, or the start of a blend.
        keep_level: coarse levels that a variation keeps.
        end: sample that a blend ends at.
        target: image whose nearest sample is searched.
        candidates: of that search, per level; empty: the default number.
        weights: file of perceptual weights for that search.
        degrade: make the input from a target image first.
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
        """`UserError` where fields exclude each other or do not fit a model of `levels` levels."""
        if sum((bool(self.names), self.base is not None, self.target is not None)) > 1:
            raise UserError("`--sample`, `--from` and `--match` exclude each other: give one")
        if self.end is not None and self.base is None:
            raise UserError("`--to` ends a blend that `--from` begins: give both")
        if not 0 <= self.keep_level <= levels:
            raise UserError(f"`--keep-level` {self.keep_level}: this model has {levels} levels")


def find_images(names: Sequence[str]) -> dict[str, Path]:
    """Image files of files, folders and patterns, by the stem that names their samples.

    Raises:
        UserError: a name matches nothing, or two images would have the same output files.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})")
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
            raise UserError(f"{other} and {path} would write the same samples: rename one")
    return by_stem


def _labelled(
    model: Model, request: SampleRequest, found: Match | None
) -> list[tuple[str, CodeMixture]]:
    """Code mixtures to draw, each with the part of the file name that follows the image's."""
    if found is not None:
        return [(f"match_{found.name}", mixture_of(found.name))]
    if request.base is not None and request.end is not None:
        start, end = model.name(request.base), model.name(request.end)
        steps = enumerate(blends(start, end, request.count))
        return [(f"{start}_to_{end}_{i:02}", step) for i, step in steps]
    if request.base is not None:
        names = model.variations(request.base, request.keep_level, request.count)
    elif request.names:
        names = [model.name(name) for name in request.names]
    else:
        names = plain(request.count, model.levels, request.first)
    return [(str(name), mixture_of(name)) for name in names]


def _match(model: Model, request: SampleRequest, rgb: np.ndarray) -> Match | None:
    if request.target is None:
        return None
    target = read_image(request.target).rgb
    if request.degrade:
        target = model.resized_to_factor(target)
    return model.match(rgb, target, request.candidates or None, request.seed, request.weights)


def _write(path: Path, sample: np.ndarray, source: DecodedImage) -> None:
    """Write a sample with the transparency and the EXIF block of its source image."""
    alpha = None if source.alpha is None else resize(source.alpha, sample.shape[:2])
    write_png(path, sample, alpha, source.exif)


def sample_file(
    model: Model, path: Path, request: SampleRequest, out: Path, grid: bool = True
) -> dict[str, Any]:
    """Draw and write the samples of one image: `out`/STEM_NAME.png, and STEM_grid.png.

    Returns:
        Plain values: the image, its samples' names and files, and the seconds spent.

    Raises:
        UserError: the image cannot be read, or the request does not fit it.
    """
    started = time.monotonic()
    source = read_image(path)
    rgb = model.degraded(source.rgb) if request.degrade else source.rgb
    found = _match(model, request, rgb)
    labelled = _labelled(model, request, found)
    mixtures = [mixture for _, mixture in labelled]
    row, files = [_thumbnail(rgb)], {}
    drawn = model.draw(rgb, mixtures, request.seed)
    for (label, _), sample in zip(labelled, drawn, strict=True):
        file = out / f"{path.stem}_{label}.png"
        _write(file, sample, source)
        files[label] = str(file)
        row.append(_thumbnail(sample))
    if grid:
        if request.degrade:
            row.append(_thumbnail(source.rgb))
        write_png(out / f"{path.stem}_grid.png", contact_sheet([row], GRID_SIDE))
    report: dict[str, Any] = {"image": str(path), "seed": request.seed, "samples": files}
    if found is not None:
        report["distances"] = list(found.distances)
        report["distances_of_sample_0"] = list(found.unsearched)
        report["distance"] = f"LPIPS over {found.features}"
    report["seconds"] = round(time.monotonic() - started, 3)
    return report


def _thumbnail(rgb: np.ndarray) -> np.ndarray:
    """The image fitted into a square of the grid, on white."""
    height, width = rgb.shape[:2]
    scale = GRID_SIDE / max(height, width)
    fitted = resize(rgb, (max(round(height * scale), 1), max(round(width * scale), 1)))
    square = np.full((GRID_SIDE, GRID_SIDE, 3), 255, dtype=np.uint8)
    top, left = (GRID_SIDE - fitted.shape[0]) // 2, (GRID_SIDE - fitted.shape[1]) // 2
    square[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return square
