"""Pairs as training and evaluation read them: looked up in an index, decoded when they are needed.

Memory holds the place of every line of the manifest, eight bytes each, and the pictures that were
read last, as far as a budget goes: a small data set is decoded once, a large one streams.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from chimle.data.manifests import PAIRS, lines_file, parse_record, read_header
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.jpeg import JpegCode, quality_tables

KEPT_BYTES = 2**30
"""Decoded pictures that an index keeps in memory."""


@dataclass(frozen=True)
class Pair:
    """An input (h, w, 3) and the one target (H, W, 3) observed for it, uint8.

    Attributes:
        id: names the pair.
        input: what a tower is conditioned on.
        target: what was observed.
        jpeg: how the input was encoded, where it is a decoded JPEG image and that is known.
    """

    id: str
    input: np.ndarray
    target: np.ndarray
    jpeg: JpegCode | None = None


def image_key(id_: str) -> int:
    """A stable 63-bit number for an image, which names its codes."""
    return int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big") >> 1


def read_manifest(root: Path) -> dict[str, Any]:
    """The header of a pairs folder's manifest; `UserError` where it is missing or damaged."""
    return read_header(root, PAIRS)


def pairs_hash(root: Path) -> str:
    """SHA-256 of the manifest, which stands for the hash of every picture."""
    lines_file(root, PAIRS)
    return hashlib.sha256((root / PAIRS).read_bytes()).hexdigest()


def _checked(root: Path, entry: dict[str, Any], kind: str) -> np.ndarray:
    path = root / entry[kind]
    if root.resolve() not in path.resolve().parents:
        raise UserError(f"{root / PAIRS} names {entry[kind]}, outside its folder")
    if not path.is_file():
        raise UserError(f"{path} does not exist: run stages.pair again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry[f"{kind}_sha256"]:
        raise UserError(f"{path} is not the file that its manifest names: run stages.pair again")
    return read_rgb(path)


def _jpeg_code(entry: dict[str, Any]) -> JpegCode | None:
    """How a pair's input was encoded, as far as the manifest says."""
    how = entry.get("degradation") or {}
    return JpegCode(quality_tables(how["quality"])) if how.get("kind") == "jpeg" else None


def _split_of(line: bytes, path: Path, number: int) -> str:
    try:
        return parse_record(line, PAIRS)["split"]
    except ValueError:
        raise UserError(f"{path}, line {number}, is damaged: run stages.pair again") from None


class PairIndex(Sequence[Pair]):
    """The pairs of one split, in the order of their ids; each is read when it is asked for."""

    def __init__(self, root: Path, split: str, kept_bytes: int = KEPT_BYTES) -> None:
        """Look up where every pair's line begins.

        Raises:
            UserError: the manifest is missing or damaged, or the split is empty.
        """
        self.root, self.split, self.kept_bytes = root, split, kept_bytes
        self._lines = lines_file(root, PAIRS)
        self._kept: OrderedDict[int, Pair] = OrderedDict()
        self._bytes = 0
        starts, end = [], 0
        with self._lines.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if _split_of(line, self._lines, number) == split:
                    starts.append(end)
                end += len(line)
        self._starts = np.array(starts, dtype=np.int64)
        if not starts:
            raise UserError(f"{root} holds no pairs of the split `{split}`")

    def __len__(self) -> int:
        return len(self._starts)

    def entry(self, index: int) -> dict[str, Any]:
        """What the manifest says of a pair."""
        with self._lines.open("rb") as stream:
            stream.seek(int(self._starts[index]))
            return json.loads(stream.readline())

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        """Pairs, decoded and found to be what the manifest names.

        Raises:
            UserError: a picture is missing, damaged or another one.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        entry = self.entry(place)
        given, target = (_checked(self.root, entry, kind) for kind in ("input", "target"))
        pair = Pair(entry["id"], given, target, _jpeg_code(entry))
        self._keep(place, pair)
        return pair

    def _keep(self, place: int, pair: Pair) -> None:
        """Keep a pair; what was not asked for longest goes."""
        self._kept[place] = pair
        self._bytes += pair.input.nbytes + pair.target.nbytes
        while self._bytes > self.kept_bytes:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.input.nbytes + old.target.nbytes
