"""Sliced Wasserstein distance between patches of Laplacian pyramids: texture without a network.

Patches of 7x7 pixels of each level of the pyramid of samples and of targets are two sets of points.
Projected on a random direction, the Wasserstein-1 distance of two sets of equal size is the mean
difference of their sorted values; it is averaged over directions. Needs no weights, so no training
can minimise it.
"""

import hashlib
import os
from collections.abc import Iterator

import numpy as np

from chimle.metrics.metric import Group, Metric

LEVELS = ("fine", "middle", "coarse")
"""Levels of the pyramid: two band-passes at full and half size, the rest at a quarter."""
PATCH, STRIDE = 7, 3
"""Side and distance of patches, pixels of their level."""
DIRECTIONS = 512
MOST_PATCHES = 16384
"""Patches of a level that are compared; a fixed random choice where there are more."""
SMALLEST_SIDE = PATCH * 2 ** (len(LEVELS) - 1)
"""Smaller images have no patch at the coarsest level."""

METRICS = tuple(
    Metric(
        f"sliced_wasserstein_{level}",
        Group.SETS,
        f"difference of {words} between patches, in thousandths of the targets' deviation",
        f"1000 / s times the mean over {DIRECTIONS} directions of the Wasserstein-1 distance of "
        f"projected {PATCH}x{PATCH} patches of the {level} level of a Laplacian pyramid, s the "
        "standard deviation of the targets' patches; mean over the S sets of one sample per input",
        "as SWD of Karras et al. 2018, arXiv 1710.10196, with 512 fixed directions",
        0,
        None,
        higher_is_better=False,
        headline=headline,
    )
    for level, words, headline in (
        ("fine", "fine detail", True),
        ("middle", "detail of middle size", False),
        ("coarse", "colours and shapes", False),
    )
)


def _halved(images: np.ndarray) -> np.ndarray:
    """(..., H, W, C) reduced to half the size by means of 2x2 pixels."""
    *more, height, width, channels = images.shape
    blocks = images.reshape(*more, height // 2, 2, width // 2, 2, channels)
    return np.asarray(blocks.mean(axis=(-4, -2)))


def _doubled(images: np.ndarray) -> np.ndarray:
    """(..., H, W, C) enlarged to twice the size, bilinear, edges repeated."""
    for axis in (-3, -2):
        count = images.shape[axis]
        before = images.take(np.maximum(np.arange(count) - 1, 0), axis)
        after = images.take(np.minimum(np.arange(count) + 1, count - 1), axis)
        pairs = [0.75 * images + 0.25 * other for other in (before, after)]
        stacked = np.stack(pairs, axis=images.ndim + axis + 1)
        shape = list(images.shape)
        shape[axis] *= 2
        images = stacked.reshape(shape)
    return images


def pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Laplacian pyramid, fine to coarse, of (..., H, W, 3) uint8; cropped to multiples of 4."""
    step = 2 ** (len(LEVELS) - 1)
    height, width = (side - side % step for side in images.shape[-3:-1])
    image = images[..., :height, :width, :].astype(np.float32) / 255
    bands = []
    for _ in LEVELS[1:]:
        small = _halved(image)
        bands.append(image - _doubled(small))
        image = small
    return [*bands, image]


def patches(band: np.ndarray) -> np.ndarray:
    """All patches of (..., H, W, C) at the stride: (..., P, 7 * 7 * C)."""
    windows = np.lib.stride_tricks.sliding_window_view(band, (PATCH, PATCH), axis=(-3, -2))
    chosen = windows[..., ::STRIDE, ::STRIDE, :, :, :]
    *more, rows, columns, channels, _, _ = chosen.shape
    return chosen.reshape(*more, rows * columns, channels * PATCH * PATCH)


def directions(length: int, seed: int = 0) -> np.ndarray:
    """(512, length) float32 unit vectors, fixed by the seed."""
    drawn = np.random.default_rng((seed, length)).standard_normal((DIRECTIONS, length))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def sliced_distance(samples: np.ndarray, targets: np.ndarray, along: np.ndarray) -> float:
    """1000 times the sliced Wasserstein-1 distance of (P, D) and (P, D), over targets' deviation.

    Args:
        samples: patches.
        targets: as many patches.
        along: (R, D) unit vectors.
    """
    first, second = (
        np.sort(along @ points.astype(np.float32).T, axis=1) for points in (samples, targets)
    )
    difference = np.abs(first - second).mean(dtype=np.float64)
    deviation = max(float(targets.std(dtype=np.float64)), np.finfo(np.float32).eps)
    return float(1000 * difference / deviation)


class _Level:
    """At most `MOST_PATCHES` positions of one level, those of lowest priority.

    A priority is a random number that the input's id fixes, so that the choice does not depend on
    the order of inputs, and memory not on their number.
    """

    def __init__(self) -> None:
        self._priorities: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._count = 0
        self._limit = np.inf

    def add(self, priorities: np.ndarray, values: np.ndarray) -> None:
        """Add (P,) priorities with the patches (S + 1, P, D) of samples and target."""
        kept = priorities < self._limit
        self._priorities.append(priorities[kept])
        # Half precision moves a value by 0.05 %, independently for every value.
        self._values.append(values[:, kept].astype(np.float16))
        self._count += int(kept.sum())
        if self._count > 2 * MOST_PATCHES:
            self._prune()

    def _prune(self) -> tuple[np.ndarray, np.ndarray]:
        priorities, values = np.concatenate(self._priorities), np.concatenate(self._values, axis=1)
        order = np.argsort(priorities, kind="stable")[:MOST_PATCHES]
        priorities, values = priorities[order], values[:, order]
        self._priorities, self._values, self._count = [priorities], [values], len(order)
        if self._count == MOST_PATCHES:
            self._limit = priorities[-1]
        return priorities, values

    def distances(self) -> np.ndarray:
        """Sliced distance of each of the S samples' sets to the targets: (S,)."""
        _, values = self._prune()
        *samples, targets = values
        along = directions(targets.shape[-1])
        return np.array([sliced_distance(one, targets, along) for one in samples])


class SlicedWasserstein:
    """Accumulates the patches of inputs."""

    def __init__(self) -> None:
        self._levels = [_Level() for _ in LEVELS]
        self._too_small = False

    def add(self, name: str, samples: np.ndarray, target: np.ndarray) -> None:
        """Add one input's id, (S, H, W, 3) samples and (H, W, 3) target, uint8."""
        if min(target.shape[:2]) < SMALLEST_SIDE:
            self._too_small = True
            return
        seed = hashlib.sha256(os.fsencode(name)).digest()
        generator = np.random.default_rng(int.from_bytes(seed[:8], "big"))
        for level, band in zip(
            self._levels, pyramid(np.concatenate((samples, target[None]))), strict=True
        ):
            values = patches(band)
            level.add(generator.random((values.shape[1],)), values)

    def metrics(self) -> Iterator[tuple[str, np.ndarray]]:
        """Distances (S,) per level, fine first; nothing if an image is too small."""
        if self._too_small:
            return
        for name, level in zip(LEVELS, self._levels, strict=True):
            yield f"sliced_wasserstein_{name}", level.distances()
