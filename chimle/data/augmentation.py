"""Augmentation: the same random crop, flips and turns for the input and target of a pair.

An augmentation is determined by (seed, round, image), whatever the order, process or machine.
"""

from dataclasses import replace

import numpy as np

from chimle.data.dataset import Pair, image_key
from chimle.tasks import Task

_PURPOSE = 2
"""Separates these random numbers from those that choose and order a round's images."""
JPEG_GRID = 16
"""Pixels between the blocks of a JPEG image with subsampled chrominance: crops keep to them."""
ORIENTATIONS = 8
"""Flips and quarter turns of a square."""


def _window(pair: Pair, task: Task, resolution: int, top: int, left: int) -> Pair:
    """An aligned crop; `top` and `left` count input pixels, so input and target stay aligned."""
    factor = task.reduction
    small = resolution // factor
    jpeg = pair.jpeg
    if jpeg is not None and small % JPEG_GRID and pair.input.shape[:2] != (small, small):
        jpeg = None  # The crop ends within blocks, of which it does not hold the rest.
    return replace(
        pair,
        jpeg=jpeg,
        input=pair.input[top : top + small, left : left + small],
        target=pair.target[
            top * factor : top * factor + resolution, left * factor : left * factor + resolution
        ],
    )


def _grid(pair: Pair) -> int:
    """Pixels between the places where a crop may begin."""
    return 1 if pair.jpeg is None else JPEG_GRID


def centre(pair: Pair, task: Task, resolution: int) -> Pair:
    """The central crop of a pair to the tower's resolution."""
    small, grid = resolution // task.reduction, _grid(pair)
    top, left = ((side - small) // 2 // grid * grid for side in pair.input.shape[:2])
    return _window(pair, task, resolution, top, left)


def oriented(image: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, ...) in one of the eight orientations of a square, numbered 0 to 7.

    The number's bits: 1 transposes, then 2 flips the rows and 4 the columns.
    """
    if orientation & 1:
        image = image.swapaxes(0, 1)
    if orientation & 2:
        image = image[::-1]
    return image[:, ::-1] if orientation & 4 else image


def _turned(pair: Pair, orientation: int) -> Pair:
    """A square pair in an orientation; the tables of a JPEG input are transposed with it."""
    jpeg = pair.jpeg
    if jpeg is not None and pair.input.shape[0] % JPEG_GRID:
        jpeg = None  # A flip would move the blocks away from the corner.
    if jpeg is not None and orientation & 1:
        jpeg = replace(jpeg, tables=jpeg.tables.swapaxes(1, 2))
    return replace(
        pair,
        input=oriented(pair.input, orientation),
        target=oriented(pair.target, orientation),
        jpeg=jpeg,
    )


def augment(pair: Pair, task: Task, resolution: int, *, seed: int, round_: int, turn: bool) -> Pair:
    """A pair with the augmentation of a round.

    Args:
        pair: at least as large as the tower's resolution.
        task: defines the reduction of the input.
        resolution: side of the returned target; the input's is `task.reduction` times smaller.
        seed: of the run.
        round_: number of the round.
        turn: one of the eight orientations as well as the random crop.
    """
    generator = np.random.default_rng((seed, _PURPOSE, round_, image_key(pair.id)))
    small, grid = resolution // task.reduction, _grid(pair)
    top, left = (
        grid * int(generator.integers(0, (side - small) // grid + 1))
        for side in pair.input.shape[:2]
    )
    posed = _window(pair, task, resolution, top, left)
    if turn:
        posed = _turned(posed, int(generator.integers(ORIENTATIONS)))
    return replace(
        posed,
        input=np.ascontiguousarray(posed.input),
        target=np.ascontiguousarray(posed.target),
    )
