"""Contact sheets: grids of images with headings."""

from collections.abc import Sequence

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
