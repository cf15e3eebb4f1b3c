"""Repeated frames of a camera."""

from collections.abc import Sequence

import numpy as np

from chimle.data.pair.near_duplicates import close_hashes
from chimle.data.pair.timelapse.frames import Frame, Rejected

SAME_BITS = 2
"""Largest Hamming distance of the hashes of repeated frames."""
SAME_RMS = 2.0
"""Root mean square difference of thumbnails, of 255, below which a frame is repeated. Encoding a
frame again at medium quality gives 1.2, two frames of one camera rarely less than 6."""


def drop_repeats(frames: Sequence[Frame], rejected: Rejected) -> list[Frame]:
    """Frames without repetitions of an earlier one under another name."""
    hashes = np.array([frame.hash for frame in frames], dtype=np.uint64)
    again: dict[int, int] = {}
    for first, second in close_hashes(hashes, SAME_BITS):
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            apart = frames[one].thumbnail.astype(np.float32) - frames[other].thumbnail
            if one not in again and np.sqrt((apart**2).mean()) < SAME_RMS:
                again.setdefault(other, one)
    for other, one in sorted(again.items()):
        rejected.add(frames[other].name, "another frame again", frames[one].name)
    return [frame for index, frame in enumerate(frames) if index not in again]
