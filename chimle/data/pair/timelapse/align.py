"""Registration of a camera's frames by their edges.

Edges are compared because night and day share little else. A small shift of the camera is undone;
a frame with a large shift, a rotation or a zoom is rejected.
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
"""Width in pixels at which edges are compared."""
REFERENCE_DAYS = 15
"""Days from which a camera's reference edges are computed."""
_SAME_POSE = 0.3
"""Correlation of edges above which two days have the same pose."""
_LEAST_GAIN = 0.02
"""Smallest gain in agreement for which a shift is accepted."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of a frame relative to its camera's reference.

    Attributes:
        shift: of the scene, right and down, in pixels of the frame.
        agreement: correlation of its edges with the reference after undoing the shift.
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
    """Reference edges (h, WIDTH) of a camera.

    They are those of the day that agrees best with the others, averaged with days of its pose.
    """
    agreement = np.array([[_correlation(one, other) for other in days] for one in days])
    best = int(np.argmax(np.median(agreement, axis=1)))
    same_pose = [day for day, a in zip(days, agreement[best], strict=True) if a > _SAME_POSE]
    return np.asarray(np.mean(same_pose, 0))


def pose_of(seen: np.ndarray, reference: np.ndarray, width: int) -> Pose:
    """Pose of a frame with edges (h, WIDTH) and a `width` in pixels, relative to the reference."""
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
    if shift == (0, 0) or agreement < still + _LEAST_GAIN:
        return Pose((0, 0), still)
    return Pose(shift, agreement)


def rejection_reason(
    pose: Pose, reference: float, width: int, settings: AlignSettings
) -> str | None:
    """Why a frame is rejected; None: it is not.

    Args:
        pose: of the frame.
        reference: median agreement of the camera's days.
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
    """Computes the pose of a frame; items are (file, file of its camera's reference edges)."""

    raw: Path

    def __call__(self, item: tuple[str, Path]) -> dict[str, Any]:
        file, reference = item
        rgb = read_rgb(self.raw / file)
        pose = pose_of(edges(rgb), np.load(reference), rgb.shape[1])
        return {"file": file, "shift": pose.shift, "agreement": round(pose.agreement, 4)}


def common_square(size: tuple[int, int], shifts: Sequence[tuple[int, int]]) -> list[Box]:
    """The largest central square of the scene that is visible in several frames of one size.

    Args:
        size: width and height of the frames.
        shifts: of the scene, right and down, in each frame.

    Returns:
        The square in the pixels of each frame.
    """
    (low_x, high_x), (low_y, high_y) = (
        (max(-shift[axis] for shift in shifts), min(size[axis] - shift[axis] for shift in shifts))
        for axis in (0, 1)
    )
    low_x, low_y = max(low_x, -size[0]), max(low_y, -size[1])
    side = max(0, min(high_x - low_x, high_y - low_y))
    left, top = low_x + (high_x - low_x - side) // 2, low_y + (high_y - low_y - side) // 2
    return [(left + x, top + y, side) for x, y in shifts]
