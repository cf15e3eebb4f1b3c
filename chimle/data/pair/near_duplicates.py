"""Near-duplicates: candidates by perceptual hash, confirmed by correlation of pixels.

A model must not be tested on an image that it was trained on under another name. The 64-bit hash
of every image, computed by the fetch, finds candidates among all pairs of images, exactly and in
bounded memory; only candidates are decoded. Two images are near-duplicates if they correlate when
reduced to `SIDE` x `SIDE`, which ignores encoding, size, brightness and contrast. Mirrored or
cropped copies are not found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.images.decode import read_rgb
from chimle.io.journal import journalled, read_lines
from chimle.settings.pair import PairSettings

SIDE = 32
"""Pixels of the reduced images that are compared."""
_ROWS, _COLUMNS = 1024, 8192
"""Block of hashes compared at once: 64 MB for any number of images."""
_ROUNDING = 1e-6
"""By which single precision may miss a correlation of 1."""


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images that are near-duplicates.

    Attributes:
        first: index of one image.
        second: index of the other, larger.
        bits: Hamming distance of their perceptual hashes.
    """

    first: int
    second: int
    bits: int


def close_hashes(hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of hashes that differ in at most `bits` bits, block by block.

    Args:
        hashes: (N,) uint64.
        bits: largest Hamming distance.

    Yields:
        Indices (M,) of one image and (M,) of the other, larger.
    """
    for top in range(0, len(hashes), _ROWS):
        rows = hashes[top : top + _ROWS, None]
        for left in range(top - top % _COLUMNS, len(hashes), _COLUMNS):
            apart = np.bitwise_count(rows ^ hashes[None, left : left + _COLUMNS])
            first, second = np.nonzero(apart <= bits)
            first, second = first + top, second + left
            upper = first < second
            if upper.any():
                yield first[upper], second[upper]


def reduced(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (SIDE, SIDE, 3) uint8 by the mean of each cell."""
    return np.asarray(Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BOX))


def correlations(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Correlation of a reduced image (3 SIDE²,) with N others (N, 3 SIDE²), uint8: (N,)."""
    a = one.astype(np.float32) - one.mean()
    b = others.astype(np.float32)
    b -= b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a @ a) * (b * b).sum(axis=1))
    # An image of one colour has no structure to compare: it matches only another such image.
    flat = (scale < 1e-3) & (np.abs(b).max(axis=1) < 1) & (np.abs(a).max() < 1)
    structured: np.ndarray = b @ a / np.maximum(scale, 1e-3)
    return np.where(scale < 1e-3, flat.astype(np.float32), structured)


@dataclass(frozen=True)
class _Reduce:
    """Decodes a file of the source; returns the reduced image as text."""

    raw: Path

    def __call__(self, file: str) -> dict[str, Any]:
        return {"file": file, "reduced": reduced(read_rgb(self.raw / file)).tobytes().hex()}


def near_duplicates(
    records: Sequence[dict[str, Any]], settings: PairSettings, raw: Path, journal: Path
) -> list[DuplicatePair]:
    """All pairs of near-duplicates among images.

    Args:
        records: of the images, with `file` and `phash`.
        settings: thresholds.
        raw: the fetched source.
        journal: file of decoded images, to resume a killed run.
    """
    hashes = np.array([int(record["phash"], 16) for record in records], dtype=np.uint64)
    blocks = list(close_hashes(hashes, settings.duplicate_bits))
    if not blocks:
        return []
    first, second = (np.concatenate(side) for side in zip(*blocks, strict=True))
    members = np.unique(np.concatenate((first, second)))
    journalled(journal, [records[i]["file"] for i in members.tolist()], _Reduce(raw))
    images = np.empty((len(members), 3 * SIDE * SIDE), dtype=np.uint8)
    for place, line in enumerate(read_lines(journal)):
        images[place] = np.frombuffer(bytes.fromhex(line["reduced"]), dtype=np.uint8)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    found = []
    ends = np.flatnonzero(np.diff(first, append=-1)) + 1
    start = 0
    for end in ends.tolist():
        one, others = int(first[start]), second[start:end]
        a, b = np.searchsorted(members, one), np.searchsorted(members, others)
        like = correlations(images[a], images[b]) >= settings.duplicate_likeness - _ROUNDING
        apart = np.bitwise_count(hashes[one] ^ hashes[others])
        rows = zip(others[like].tolist(), apart[like].tolist(), strict=True)
        found += [DuplicatePair(one, other, bits) for other, bits in rows]
        start = end
    return found


def _to_drop(
    names: Sequence[str], found: Sequence[DuplicatePair], splits: Sequence[str]
) -> set[int]:
    """Images to drop from the training split: a near-duplicate is held out, or comes earlier.

    Held-out images stay. Names decide, so the choice is reproducible.
    """
    gone: set[int] = set()
    inside: list[tuple[int, int]] = []
    for one in found:
        trained = [i for i in (one.first, one.second) if splits[i] == "train"]
        if len(trained) == 1:
            gone.add(trained[0])
        elif trained:
            early, late = sorted(trained, key=lambda i: names[i])
            inside.append((early, late))
    # In this order an image's own outcome is known before it decides another's.
    for early, late in sorted(inside, key=lambda pair: [names[i] for i in pair]):
        if early not in gone:
            gone.add(late)
    return gone


def duplicate_lines(
    names: Sequence[str], found: Sequence[DuplicatePair], splits: Sequence[str], drop: bool
) -> list[dict[str, Any]]:
    """Outcome for each pair of near-duplicates, as the manifest lists it.

    Args:
        names: of the images.
        found: their near-duplicates.
        splits: the images' splits.
        drop: whether any image is dropped.

    Returns:
        For each pair, by name: which are `kept` and which `dropped`, their `splits` (kept ones
        first) and the `distance` of their hashes in bits.
    """
    gone = _to_drop(names, found, splits) if drop else set()
    lines = []
    for one in found:
        both = sorted((one.first, one.second), key=lambda i: (i in gone, names[i]))
        lines.append(
            {
                "kept": [names[i] for i in both if i not in gone],
                "dropped": [names[i] for i in both if i in gone],
                "splits": [splits[i] for i in both],
                "distance": one.bits,
            }
        )
    return sorted(lines, key=lambda line: sorted(line["kept"] + line["dropped"]))
