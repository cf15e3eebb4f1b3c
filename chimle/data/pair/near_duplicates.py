"""Photographs that show the same again: found by perceptual hash, made sure of by pixels.

A model must not be tested with what it was trained on under another name. The hash (64 bits, of
every photograph, from when it was fetched) finds candidates among all pairs of photographs,
exactly and in bounded memory; only candidates are decoded. Two count as near-duplicates when their
pictures, reduced to `SIDE` x `SIDE`, correlate: that is blind to encoding, size, brightness and
contrast. Mirrored or cropped copies are not found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.images.decode import read_rgb
from chimle.io.journal import journalled, read_lines
from chimle.settings import PairSettings

SIDE = 32
"""Pixels of the reduced pictures that are compared."""
_ROWS, _COLUMNS = 1024, 8192
"""Block of hashes compared at once: 64 MB whatever there is to compare."""


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two photographs that are near-duplicates.

    Attributes:
        first: index of the one.
        second: index of the other, larger.
        bits: in which their perceptual hashes differ.
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
        Indices (M,) of the one and (M,) of the other, larger.
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


def likeness(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Correlation of a reduced picture (3 SIDE²,) with N others (N, 3 SIDE²), uint8: (N,)."""
    a = one.astype(np.float32) - one.mean()
    b = others.astype(np.float32)
    b -= b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a @ a) * (b * b).sum(axis=1))
    # A picture of one colour has no structure to compare: only another such is like it.
    flat = (scale < 1e-3) & (np.abs(b).max(axis=1) < 1) & (np.abs(a).max() < 1)
    return np.where(scale < 1e-3, flat.astype(np.float32), b @ a / np.maximum(scale, 1e-3))


@dataclass(frozen=True)
class _Reduce:
    """Decodes a file of the source; its reduced picture as text."""

    raw: Path

    def __call__(self, file: str) -> dict[str, Any]:
        return {"file": file, "reduced": reduced(read_rgb(self.raw / file)).tobytes().hex()}


def near_duplicates(
    records: Sequence[dict[str, Any]], settings: PairSettings, raw: Path, journal: Path
) -> list[DuplicatePair]:
    """All pairs of near-duplicates among photographs.

    Args:
        records: of the photographs, with `file` and `phash`.
        settings: thresholds.
        raw: the fetched source.
        journal: file for what has been decoded, should the run be killed.
    """
    hashes = np.array([int(record["phash"], 16) for record in records], dtype=np.uint64)
    blocks = list(close_hashes(hashes, settings.duplicate_bits))
    if not blocks:
        return []
    first, second = (np.concatenate(side) for side in zip(*blocks, strict=True))
    members = np.unique(np.concatenate((first, second)))
    journalled(journal, [records[i]["file"] for i in members.tolist()], _Reduce(raw))
    pictures = np.empty((len(members), 3 * SIDE * SIDE), dtype=np.uint8)
    for place, line in enumerate(read_lines(journal)):
        pictures[place] = np.frombuffer(bytes.fromhex(line["reduced"]), dtype=np.uint8)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    found = []
    ends = np.flatnonzero(np.diff(first, append=-1)) + 1
    start = 0
    for end in ends.tolist():
        one, others = int(first[start]), second[start:end]
        a, b = np.searchsorted(members, one), np.searchsorted(members, others)
        like = likeness(pictures[a], pictures[b]) >= settings.duplicate_likeness
        apart = np.bitwise_count(hashes[one] ^ hashes[others])
        rows = zip(others[like].tolist(), apart[like].tolist(), strict=True)
        found += [DuplicatePair(one, other, bits) for other, bits in rows]
        start = end
    return found


def _to_drop(
    names: Sequence[str], found: Sequence[DuplicatePair], splits: Sequence[str]
) -> set[int]:
    """Photographs that leave the training split: one like them is held out, or comes first there.

    What is held out stays. Names decide, so the same ones go every time.
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
    # In this order a photograph's own fate is sealed before it decides another's.
    for early, late in sorted(inside, key=lambda pair: [names[i] for i in pair]):
        if early not in gone:
            gone.add(late)
    return gone


def judge(
    names: Sequence[str], found: Sequence[DuplicatePair], splits: Sequence[str], drop: bool
) -> list[dict[str, Any]]:
    """What becomes of near-duplicates, as the manifest lists it.

    Args:
        names: of the photographs.
        found: their near-duplicates.
        splits: the photographs' splits.
        drop: whether any goes at all.

    Returns:
        Per two near-duplicates, by name: which of them are `kept` and which `dropped`, the
        `splits` that they were in (kept ones first), and the `distance` of their hashes in bits.
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
