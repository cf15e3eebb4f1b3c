"""Sampling of image files for `chimle sample`: each image is read, sampled and written in turn."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from chimle.errors import UserError
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import DecodedImage, read_image
from chimle.images.jpeg import JpegCode
from chimle.images.pyramid import resize
from chimle.images.walk import FoundImage, LeftOut, left_out_summary, walk
from chimle.inference.inputs import image_key
from chimle.inference.match import (
    Match,
    default_candidates,
    match_distance,
)
from chimle.inference.model import Model
from chimle.inference.output_files import (
    check_replaceable,
    input_of,
    output_prefixes,
    write_output,
)
from chimle.inference.sample_names import (
    CodeMixture,
    blends,
    mixture_of,
    plain,
)
from chimle.inference.sample_request import SampleRequest
from chimle.io.urls import without_mistyped_logins
from chimle.perceptual.lpips import Perceptual

GRID_SIDE = 160
"""Side of an image in the overview grid, pixels."""
GRID_SAMPLES = 64
"""Samples that the overview grid shows, at most."""
_MISSING = ("does not exist", "matches nothing")


@dataclass(frozen=True)
class SampleTask:
    """An image to sample, and where its outputs go.

    Attributes:
        path: the image file.
        prefix: path of its outputs without label and suffix.
    """

    path: Path
    prefix: Path


@dataclass
class FoundTasks:
    """Images to sample, and an account of every other file.

    Attributes:
        tasks: in order.
        failed: arguments and images that cannot be sampled, with a sentence each.
        left_out: files of searched folders that are no images to sample.
    """

    tasks: list[SampleTask]
    failed: list[tuple[str, str]]
    left_out: list[LeftOut]


def _failure(argument: LeftOut) -> str:
    """A sentence about an argument that is left out."""
    path = without_mistyped_logins(str(argument.path))  # It may be an address, taken for a path.
    if argument.reason in _MISSING:
        return f"{path} {argument.reason}"
    return f"{path} is left out: {argument.reason}"


def find_tasks(arguments: Sequence[str], out: Path) -> FoundTasks:
    """Images of files, folders and patterns, without the output folder and what it holds.

    Raises:
        UserError: an argument is empty.
    """
    found = walk(arguments, exclude=[out])
    failed = [(str(one.path), _failure(one)) for one in found.left_out if one.named]
    left_out = [one for one in found.left_out if not one.named]
    images: list[FoundImage] = []
    inside_out = out.resolve()
    for image in found.images:
        in_out = image.path.resolve().is_relative_to(inside_out)
        if in_out and input_of(image.path) is not None:
            left_out.append(LeftOut(image.path, "an output of this program in the output folder"))
        else:
            images.append(image)
    for name in arguments:
        folder = Path(name)
        is_folder = os.path.isdir(folder)  # noqa: PTH112 - False where it cannot be read
        if is_folder and not any(image.path.is_relative_to(folder) for image in images):
            own = [one for one in left_out if one.path.is_relative_to(folder)]
            reasons = f" ({left_out_summary(own)})" if own else ""
            failed.append((name, f"{folder} holds no images{reasons}"))
    tasks: dict[PurePath, SampleTask] = {}
    for image, prefix in zip(images, output_prefixes(images), strict=True):
        if prefix in tasks:
            text = f"{image.path} and {tasks[prefix].path} would write the same samples: rename one"
            failed.append((str(image.path), text))
        else:
            tasks[prefix] = SampleTask(image.path, out / prefix)
    return FoundTasks(list(tasks.values()), failed, left_out)


def _labelled(
    model: Model, request: SampleRequest, found: Match | None
) -> list[tuple[str, CodeMixture]]:
    """Code mixtures to draw, each with the part of the file name that follows the image's."""
    if found is not None:
        return [(f"match_{found.name}", mixture_of(found.name))]
    if request.base is not None and request.end is not None:
        start, end = model.name(request.base), model.name(request.end)
        steps = enumerate(blends(start, end, request.drawn))
        return [(f"{start}_to_{end}_{i:02}", step) for i, step in steps]
    if request.base is not None:
        names = model.variations(request.base, request.kept, request.drawn)
    elif request.names:
        names = [model.name(name) for name in request.names]
    else:
        names = plain(request.drawn, model.levels, request.first)
    return [(str(name), mixture_of(name)) for name in names]


@dataclass(frozen=True)
class MatchTarget:
    """What a search compares the samples of every image with.

    Attributes:
        path: its file.
        rgb: (H, W, 3) uint8.
        distance: on the model's device.
    """

    path: Path
    rgb: np.ndarray
    distance: Perceptual


def read_target(model: Model, request: SampleRequest) -> MatchTarget | None:
    """The target and the distance of a request's search; None: it asks for none.

    Raises:
        UserError: the target cannot be read, or the distance's weights are missing or damaged.
    """
    if request.target is None:
        return None
    rgb = read_image(request.target).rgb
    if request.degrade:
        rgb = model.resized_to_factor(rgb)
    trained_by = model.bundle.settings.perceptual
    distance = match_distance(trained_by, request.weights, str(model.device), "--weights")
    return MatchTarget(request.target, rgb, distance)


@contextmanager
def _named(words: str) -> Iterator[None]:
    """A `UserError` of the block begins with these words."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{words}: {error}") from None


def _match(
    model: Model,
    request: SampleRequest,
    target: MatchTarget | None,
    path: Path,
    rgb: np.ndarray,
    code: JpegCode | None,
) -> Match | None:
    if target is None:
        return None
    counts = request.candidates or default_candidates(model.levels)
    with _named(f"{path}, `--match` {target.path}"):
        return model.nearest(rgb, target.rgb, target.distance, counts, request.seed, code)


def _write(path: Path, sample: np.ndarray, source: DecodedImage, key: str) -> None:
    """Write a sample with the transparency and the EXIF block of its source image."""
    alpha = None if source.alpha is None else resize(source.alpha, sample.shape[:2])
    write_output(path, sample, key, alpha, source.exif)


def sample_file(
    model: Model,
    task: SampleTask,
    request: SampleRequest,
    grid: bool = True,
    target: MatchTarget | None = None,
) -> dict[str, Any]:
    """Draw and write the samples of one image: PREFIX_NAME.png, and PREFIX_grid.png.

    Args:
        model: the model.
        task: the image, and where its outputs go.
        request: which samples.
        grid: whether to write an overview.
        target: as `read_target` gives it for the request; None: it is read.

    Returns:
        Plain values: the image, its samples' names and files, and the seconds spent.

    Raises:
        UserError: the image cannot be read, the request does not fit it, or another file has the
            name of an output.
    """
    started = time.monotonic()
    source = read_image(task.path)
    key = f"{image_key(source.rgb):016x}"
    with _named(str(task.path)):
        rgb = model.degraded(source.rgb) if request.degrade else source.rgb
    code = model.degraded_code() if request.degrade else model.file_code(task.path, rgb)
    searched = target or read_target(model, request)
    found = _match(model, request, searched, task.path, rgb, code)
    labelled = _labelled(model, request, found)
    files = {label: _with_label(task.prefix, label) for label, _ in labelled}
    overview = _with_label(task.prefix, "grid")
    for path in [*files.values(), *([overview] if grid else [])]:
        check_replaceable(path, key)
    row = [_thumbnail(rgb)]
    drawn = model.draw(rgb, [mixture for _, mixture in labelled], request.seed, code)
    for (label, _), sample in zip(labelled, drawn, strict=True):
        _write(files[label], sample, source, key)
        if grid and len(row) <= GRID_SAMPLES:
            row.append(_thumbnail(sample))
    if grid:
        if request.degrade:
            row.append(_thumbnail(source.rgb))
        write_output(overview, contact_sheet([row], GRID_SIDE), key)
    report: dict[str, Any] = {
        "image": str(task.path),
        "seed": request.seed,
        "samples": {label: str(path) for label, path in files.items()},
    }
    if found is not None:
        report["distances"] = list(found.distances)
        report["distances_of_sample_0"] = list(found.unsearched)
        report["distance"] = f"LPIPS over {found.features}"
    report["seconds"] = round(time.monotonic() - started, 3)
    return report


def _with_label(prefix: Path, label: str) -> Path:
    return prefix.with_name(f"{prefix.name}_{label}.png")


def _thumbnail(rgb: np.ndarray) -> np.ndarray:
    """The image fitted into a square of the grid, on white."""
    height, width = rgb.shape[:2]
    scale = GRID_SIDE / max(height, width)
    fitted = resize(rgb, (max(round(height * scale), 1), max(round(width * scale), 1)))
    square = np.full((GRID_SIDE, GRID_SIDE, 3), 255, dtype=np.uint8)
    top, left = (GRID_SIDE - fitted.shape[0]) // 2, (GRID_SIDE - fitted.shape[1]) // 2
    square[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return square
