"""Pictures of pictures: contact sheets."""

from collections.abc import Sequence

import numpy as np

from chimle.images.pyramid import resize

GAP = 4
"""Pixels between pictures."""
_PAPER = 255


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], side: int) -> np.ndarray:
    """Rows of (h, w, 3) uint8 pictures, each shown `side` x `side`, on white: (H, W, 3) uint8.

    Small pictures are enlarged by repetition where `side` is a multiple, so that pixels show.
    """
    columns = max(len(row) for row in rows)
    step = side + GAP
    sheet = np.full((len(rows) * step + GAP, columns * step + GAP, 3), _PAPER, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = GAP + y * step, GAP + x * step
            sheet[top : top + side, left : left + side] = _shown(picture, side)
    return sheet


def _shown(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if height == width and side % height == 0:
        return picture.repeat(side // height, axis=0).repeat(side // height, axis=1)
    return resize(picture, (side, side))
