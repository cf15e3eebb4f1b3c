"""Random access to pairs: an index over the manifest, with images decoded on demand.

Memory holds the offset of every line of the manifest, eight bytes each, and a bounded cache of the
images read last: a small data set is decoded once, a large one streams.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from chimle.data.manifests import LINES, PAIRS, lines_file, parse_record, read_header
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.jpeg import JpegCode, code_of_degradation
from chimle.io.files import resolved, sha256_of

CACHE_BYTES = 2**30
"""Bytes of decoded images that an index keeps in memory."""


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
    """A stable 63-bit number for an image, which determines its codes."""
    return int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big") >> 1


def read_manifest(root: Path) -> dict[str, Any]:
    """The header of a pairs folder's manifest; `UserError` where it is missing or damaged."""
    header = read_header(root, PAIRS)
    kinds = {"size": int, "counts": dict, "degradation": dict}
    if not all(isinstance(header[name], kind) for name, kind in kinds.items()):
        raise UserError(f"{root / PAIRS} is damaged: run stages.pair again")
    return header


def check_pair_size(
    manifest: Mapping[str, Any], resolution: int, field: str = "`tower.resolution`"
) -> None:
    """`UserError` where pairs are smaller than a tower's finest images.

    Args:
        manifest: header of the pairs (`read_manifest`).
        resolution: side of the finest images, pixels.
        field: what a user calls it.
    """
    size = manifest["size"]
    if size < resolution:
        raise UserError(
            f"{field} {resolution} is larger than the pairs, {size} pixels: lower it, or raise "
            "`pair.size` and run stages.pair again"
        )


def pairs_hash(root: Path) -> str:
    """SHA-256 of the manifest, which contains the hash of every image."""
    lines_file(root, PAIRS)
    return hashlib.sha256((root / PAIRS).read_bytes()).hexdigest()


def _checked(root: Path, entry: dict[str, Any], kind: str) -> np.ndarray:
    path = root / entry[kind]
    if root.resolve() not in resolved(path).parents:
        raise UserError(f"{root / PAIRS} names {entry[kind]}, outside its folder")
    if not path.is_file():
        raise UserError(f"{path} does not exist: run stages.pair again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry[f"{kind}_sha256"]:
        raise UserError(f"{path} is not the file that its manifest names: run stages.pair again")
    return read_rgb(path)


def _split_of(line: bytes, path: Path, number: int) -> str:
    try:
        return str(parse_record(line, PAIRS)["split"])
    except ValueError:
        raise UserError(f"{path}, line {number}, is damaged: run stages.pair again") from None


def _identity(root: Path) -> tuple[int, int, int] | None:
    """What a folder's lines have in common only with themselves; None where they are missing."""
    try:
        status = (root / LINES[PAIRS]).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class PairIndex(Sequence[Pair]):
    """The pairs of one split, in the order of their ids, each read when it is indexed."""

    def __init__(self, root: Path, split: str, cache_bytes: int = CACHE_BYTES) -> None:
        """Find the offset of every pair's line.

        Raises:
            UserError: the manifest is missing or damaged, or the split is empty.
        """
        self.root, self.split, self.cache_bytes = root, split, cache_bytes
        self._lines, self._identity = lines_file(root, PAIRS), _identity(root)
        self._sha256 = read_header(root, PAIRS)["lines"]["sha256"]
        self._cache: OrderedDict[int, Pair] = OrderedDict()
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

    def _check_unchanged(self) -> None:
        """`UserError` where the pairs were made anew since their lines were found."""
        now = _identity(self.root)
        if now == self._identity:
            return
        if now is None or sha256_of(self._lines) != self._sha256:
            raise UserError(f"{self.root} was made anew while it was read: run this again")
        self._identity = now  # The same again, as `dvc checkout` puts it there.

    def entry(self, index: int) -> dict[str, Any]:
        """The manifest's record of a pair; `UserError` where the pairs were made anew meanwhile."""
        self._check_unchanged()
        with self._lines.open("rb") as stream:
            stream.seek(int(self._starts[index]))
            record: dict[str, Any] = json.loads(stream.readline())
            return record

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        """Decoded pairs, whose files are checked against the manifest's hashes.

        Raises:
            UserError: an image is missing, damaged or has another hash, or the pairs were made
                anew since the index was.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if position in self._cache:
            self._cache.move_to_end(position)
            return self._cache[position]
        entry = self.entry(position)
        given, target = (_checked(self.root, entry, kind) for kind in ("input", "target"))
        pair = Pair(entry["id"], given, target, code_of_degradation(entry.get("degradation") or {}))
        self._add_to_cache(position, pair)
        return pair

    def _add_to_cache(self, position: int, pair: Pair) -> None:
        """Cache a pair; the least recently used ones are evicted."""
        self._cache[position] = pair
        self._bytes += pair.input.nbytes + pair.target.nbytes
        while self._bytes > self.cache_bytes:
            _, old = self._cache.popitem(last=False)
            self._bytes -= old.input.nbytes + old.target.nbytes
