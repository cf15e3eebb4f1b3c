"""Contact sheets: grids of images with labels."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chimle.images.pyramid import resize

GAP = 4
"""Pixels between images."""
HEADING = 22
"""Pixels above a sheet or a row for its labels."""
_BACKGROUND = 255
_TEXT_COLOUR = (70, 74, 84)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    side: int = 96,
    headings: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> np.ndarray:
    """Rows of (h, w, 3) uint8 images, each drawn `side` x `side`, on white: (H, W, 3) uint8.

    Square images whose side divides `side` are enlarged by repetition, so that pixels show.

    Args:
        rows: images, left to right.
        side: of a drawn image, pixels.
        headings: labels above the columns; empty: no band for them.
        titles: labels above each row; empty: no bands for them.

    Raises:
        ValueError: there is no image.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a contact sheet needs at least one image")
    top = HEADING if headings else 0
    step = side + GAP + (HEADING if titles else 0)
    shape = (top + len(rows) * step + GAP, columns * (side + GAP) + GAP, 3)
    sheet = np.full(shape, _BACKGROUND, dtype=np.uint8)
    labels = [(GAP + x * (side + GAP), 4, text) for x, text in enumerate(headings)]
    for y, row in enumerate(rows):
        band = top + y * step
        below = band + (HEADING if titles else 0) + GAP
        labels += [(GAP, band + 6, titles[y])] if titles else []
        for x, image in enumerate(row):
            left = GAP + x * (side + GAP)
            sheet[below : below + side, left : left + side] = _scaled(image, side)
    return _with_labels(sheet, labels) if labels else sheet


def _with_labels(sheet: np.ndarray, labels: Sequence[tuple[int, int, str]]) -> np.ndarray:
    """`sheet` with each (left, top, text) drawn in Pillow's own font."""
    page = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for left, top, text in labels:
        draw.text((left, top), text, fill=_TEXT_COLOUR, font=font)
    return np.asarray(page)


def _scaled(image: np.ndarray, side: int) -> np.ndarray:
    height, width = image.shape[:2]
    if height == width and side % height == 0:
        return image.repeat(side // height, axis=0).repeat(side // height, axis=1)
    return resize(image, (side, side))
