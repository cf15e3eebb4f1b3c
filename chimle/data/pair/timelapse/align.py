"""Does a frame show what its camera's others show, and from where?

Edges are compared, since night and day share them and little else. A frame whose camera was turned
a little is shifted back; one that was turned far, rotated or zoomed is rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from chimle.data.pair.pair_specs import Box
from chimle.images.decode import read_rgb
from chimle.settings.timelapse import AlignSettings

WIDTH = 256
"""Pixels of the width at which edges are compared."""
REFERENCE_DAYS = 15
"""Days that a camera's edges are learnt from."""
_TOGETHER = 0.3
"""Correlation of edges from which two days were seen from one place."""
_BETTER = 0.02
"""A shift must raise the agreement by so much: else there is none."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a frame's scene lies.

    Attributes:
        shift: pixels of the frame, right and down, by which it lies off the camera's usual place.
        agreement: correlation of its edges with the camera's, once moved back.
    """

    shift: tuple[int, int]
    agreement: float


def edges(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (h, WIDTH) float32: roots of gradients, of mean 0 and deviation 1."""
    height = max(16, round(rgb.shape[0] * WIDTH / rgb.shape[1]))
    grey = Image.fromarray(rgb).convert("L").resize((WIDTH, height), Image.Resampling.BICUBIC)
    smooth = cv2.GaussianBlur(np.asarray(grey, dtype=np.float32), (0, 0), 1.0)
    gradient = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    roots = np.sqrt(gradient)
    roots -= roots.mean()
    return (roots / max(float(roots.std()), 1e-6)).astype(np.float32)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / scale if scale > 1e-6 else 0.0


def reference_edges(days: Sequence[np.ndarray]) -> np.ndarray:
    """Edges (h, WIDTH) of most of a camera's days: of the one that agrees best with the others,
    averaged with those that were seen from the same place."""
    agreement = np.array([[_correlation(one, other) for other in days] for one in days])
    best = int(np.argmax(np.median(agreement, axis=1)))
    return np.mean([day for day, a in zip(days, agreement[best], strict=True) if a > _TOGETHER], 0)


def pose_of(seen: np.ndarray, reference: np.ndarray, width: int) -> Pose:
    """Where a frame's edges (h, WIDTH) lie beside the usual ones; `width` of the frame, pixels."""
    height = reference.shape[0]
    window = cv2.createHanningWindow((WIDTH, height), cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(reference.astype(np.float32), seen, window)
    still = _correlation(reference, seen)
    if abs(right) > WIDTH / 2 or abs(down) > height / 2:
        return Pose((0, 0), still)
    back = np.array([[1, 0, -right], [0, 1, -down]], dtype=np.float32)
    moved = cv2.warpAffine(seen, back, (WIDTH, height), flags=cv2.INTER_LINEAR)
    x, y = int(np.ceil(abs(right))), int(np.ceil(abs(down)))
    inner = (slice(y, height - y or None), slice(x, WIDTH - x or None))
    agreement = _correlation(reference[inner], moved[inner])
    scale = width / WIDTH
    shift = (round(right * scale), round(down * scale))
    if shift == (0, 0) or agreement < still + _BETTER:
        return Pose((0, 0), still)
    return Pose(shift, agreement)


def rejection_reason(
    pose: Pose, reference: float, width: int, settings: AlignSettings
) -> str | None:
    """Why a frame cannot be used; None: it can.

    Args:
        pose: of the frame.
        usual: agreement of most of the camera's days.
        width: of the frame, pixels.
        settings: thresholds.
    """
    if pose.agreement < settings.agreement * reference:
        return "shows another scene than the camera's others, or too little of it"
    if max(map(abs, pose.shift)) > settings.furthest * width:
        return "moved too far"
    return None


@dataclass(frozen=True)
class Edges:
    """Finds the pose of frames: of each item, (file, file of its camera's usual edges)."""

    raw: Path

    def __call__(self, item: tuple[str, Path]) -> dict[str, Any]:
        file, reference = item
        rgb = read_rgb(self.raw / file)
        pose = pose_of(edges(rgb), np.load(reference), rgb.shape[1])
        return {"file": file, "shift": pose.shift, "agreement": round(pose.agreement, 4)}


def common_square(size: tuple[int, int], shifts: Sequence[tuple[int, int]]) -> list[Box]:
    """The largest central square of the scene that all of several frames of one size show.

    Args:
        size: width and height of the frames.
        shifts: by which the scene lies right and down of its usual place in each.

    Returns:
        The square in the pixels of each.
    """
    (low_x, high_x), (low_y, high_y) = (
        (max(-shift[axis] for shift in shifts), min(size[axis] - shift[axis] for shift in shifts))
        for axis in (0, 1)
    )
    low_x, low_y = max(low_x, -size[0]), max(low_y, -size[1])
    side = max(0, min(high_x - low_x, high_y - low_y))
    left, top = low_x + (high_x - low_x - side) // 2, low_y + (high_y - low_y - side) // 2
    return [(left + x, top + y, side) for x, y in shifts]
