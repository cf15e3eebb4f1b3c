"""Frames of a camera that show an earlier one again."""

from collections.abc import Sequence

import numpy as np

from chimle.data.pair.near_duplicates import close_hashes
from chimle.data.pair.timelapse.frames import Frame, Rejected

SAME_BITS = 2
"""Frames of one camera whose hashes differ in more bits are different ones."""
SAME_RMS = 2.0
"""Root mean square difference of reduced frames, of 255, below which they are one frame twice.
Encoding a frame again at a middling quality makes 1.2, two frames of one camera rarely below 6."""


def drop_repeats(frames: Sequence[Frame], rejected: Rejected) -> list[Frame]:
    """Frames without those that show an earlier one again, under another name."""
    hashes = np.array([frame.hash for frame in frames], dtype=np.uint64)
    again: dict[int, int] = {}
    for first, second in close_hashes(hashes, SAME_BITS):
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            apart = frames[one].thumbnail.astype(np.float32) - frames[other].thumbnail
            if one not in again and np.sqrt((apart**2).mean()) < SAME_RMS:
                again.setdefault(other, one)
    for other, one in sorted(again.items()):
        rejected.add(frames[other].name, "another frame again", frames[one].name)
    return [frame for place, frame in enumerate(frames) if place not in again]
