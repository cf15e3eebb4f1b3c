"""Pictures of pictures: contact sheets; and line charts drawn as SVG coordinates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chimle.images.pyramid import resize

GAP = 4
"""Pixels between pictures."""
HEADING = 22
"""Pixels above a sheet or a row for its words."""
_PAPER = 255
_INK = (70, 74, 84)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    side: int = 96,
    headings: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> np.ndarray:
    """Rows of (h, w, 3) uint8 pictures, each shown `side` x `side`, on white: (H, W, 3) uint8.

    Small pictures are enlarged by repetition where `side` is a multiple, so that pixels show.

    Args:
        rows: pictures, left to right.
        side: of a shown picture, pixels.
        headings: words above the columns; none: no band for them.
        titles: words above each row; none: no bands for them.

    Raises:
        ValueError: there is no picture.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a contact sheet needs at least one picture")
    top = HEADING if headings else 0
    step = side + GAP + (HEADING if titles else 0)
    shape = (top + len(rows) * step + GAP, columns * (side + GAP) + GAP, 3)
    sheet = np.full(shape, _PAPER, dtype=np.uint8)
    words = [(GAP + x * (side + GAP), 4, text) for x, text in enumerate(headings)]
    for y, row in enumerate(rows):
        band = top + y * step
        below = band + (HEADING if titles else 0) + GAP
        words += [(GAP, band + 6, titles[y])] if titles else []
        for x, picture in enumerate(row):
            left = GAP + x * (side + GAP)
            sheet[below : below + side, left : left + side] = _shown(picture, side)
    return _written(sheet, words) if words else sheet


def _written(sheet: np.ndarray, words: Sequence[tuple[int, int, str]]) -> np.ndarray:
    """`sheet` with each (left, top, text) in the font that Pillow carries."""
    page = Image.fromarray(sheet)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for left, top, text in words:
        pen.text((left, top), text, fill=_INK, font=font)
    return np.asarray(page)


def _shown(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if height == width and side % height == 0:
        return picture.repeat(side // height, axis=0).repeat(side // height, axis=1)
    return resize(picture, (side, side))


@dataclass(frozen=True)
class Line:
    """One curve of a chart: its name and `x,y x,y ..` for an SVG polyline."""

    name: str
    points: str
    end: tuple[str, str]


@dataclass(frozen=True)
class Chart:
    """A line chart in SVG units; ticks are (position, label)."""

    title: str
    width: int
    height: int
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[str, str], ...]
    y_ticks: tuple[tuple[str, str], ...]


def ticks(top: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to the first at or above `top`, in about `count` equal steps."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= raw * (1 - 1e-9))
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def chart(
    title: str,
    steps: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    width: int = 420,
    height: int = 170,
) -> Chart:
    """Curves of values >= 0 over `steps`, scaled into `width` x `height` from a zero line up."""
    last = max(steps, default=0.0) or 1.0
    rises = ticks(max((max(values, default=0.0) for values in curves.values()), default=0.0))
    lines = []
    for name, values in curves.items():
        places = [
            (f"{x / last * width:.1f}", f"{height * (1 - max(y, 0.0) / rises[-1]):.1f}")
            for x, y in zip(steps, values, strict=True)
        ]
        if places:
            lines.append(Line(name, " ".join(f"{x},{y}" for x, y in places), places[-1]))
    return Chart(
        title,
        width,
        height,
        tuple(lines),
        tuple((f"{x / last * width:.1f}", f"{x:g}") for x in ticks(last) if x <= last),
        tuple((f"{height * (1 - y / rises[-1]):.1f}", f"{y:.4g}") for y in rises),
    )
