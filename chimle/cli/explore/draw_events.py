"""What a request of the page is sent: its input, the names of its samples, each sample, the end."""

import base64
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chimle.cli.explore.sample_grid import SampleGrid
from chimle.errors import UserError, first_line
from chimle.images.decode import png_bytes, read_image
from chimle.images.jpeg import JpegCode
from chimle.images.pyramid import resize
from chimle.inference.model import Model
from chimle.inference.sample_names import mixture_of

LARGEST_SIDE = 1024
"""Longest side of a sample: larger images are reduced, so that the page responds quickly."""

Event = dict[str, Any]


@dataclass(frozen=True)
class DrawRequest:
    """One request of the page.

    Attributes:
        image: file of the image; it is gone after the request.
        file_name: what the user calls it.
        degrade: make the input from the image first, by the task's degradation.
        grid: names of the samples.
    """

    image: Path
    file_name: str
    degrade: bool
    grid: SampleGrid


def draw_events(model: Model, request: DrawRequest) -> Generator[Event, None, None]:
    """The events of a request, each as soon as it is known; an image that cannot be read is one."""
    try:
        given = fitted(read_image(request.image).rgb, model, request.degrade)
        code = _code_of(given, model, request)
    except UserError as error:
        yield {"error": str(error).replace(str(request.image), request.file_name)}
        return
    except (MemoryError, RuntimeError) as error:  # A full GPU is a RuntimeError.
        yield _undrawn(request, error)
        return
    grid = request.grid
    rows = [[str(name) for name in row] for row in grid.rows]
    yield {"input": _text_of(given), "rows": rows, "shared": grid.shared, "text": grid.text}
    try:
        drawn = model.draw(given, [mixture_of(name) for name in grid.names], code=code)
        for name, sample in zip(grid.names, drawn, strict=True):
            yield {"name": str(name), "png": _text_of(sample)}
    except UserError as error:
        yield {"error": str(error)}
        return
    except (MemoryError, RuntimeError) as error:
        yield _undrawn(request, error)
        return
    yield {"end": True}


def _undrawn(request: DrawRequest, error: BaseException) -> Event:
    reason = first_line(error)
    return {"error": f"{request.file_name} cannot be drawn ({reason}): try a smaller image"}


def fitted(rgb: np.ndarray, model: Model, degrade: bool) -> np.ndarray:
    """The model's input for (h, w, 3) uint8, reduced so that samples fit `LARGEST_SIDE`."""
    largest = LARGEST_SIDE if degrade else LARGEST_SIDE // model.factor
    scale = min(1.0, largest / max(rgb.shape[:2]))
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    small = resize(rgb, (height, width)) if scale < 1 else rgb
    return model.degraded(small) if degrade else small


def _code_of(given: np.ndarray, model: Model, request: DrawRequest) -> JpegCode | None:
    """How JPEG encodes the input; None where it does not, or the file was reduced."""
    return model.degraded_code() if request.degrade else model.file_code(request.image, given)


def _text_of(rgb: np.ndarray) -> str:
    """An image as PNG in base64."""
    return base64.b64encode(png_bytes(rgb)).decode()
