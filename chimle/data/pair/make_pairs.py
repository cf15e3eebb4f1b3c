"""Make pairs of images: plan, split, crop, degrade and write them with a manifest.

The same images, settings and seed give the same bytes, however many processes make them and
however often they were killed.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from chimle.data.manifests import PAIRS, SOURCE, read_header, write_records
from chimle.data.pair.pair_plan import make_plan
from chimle.data.pair.pair_specs import Half, PairSpec, same_aspect
from chimle.data.pair.splits import SPLITS, unit_hash
from chimle.errors import UserError
from chimle.images.decode import png_bytes, read_rgb
from chimle.images.degrade import degrade, parameters_of
from chimle.images.pyramid import resize
from chimle.io.files import put_in_place
from chimle.io.journal import journalled, read_lines
from chimle.provenance import digest, running_code
from chimle.settings.pair import PairStageSettings


@lru_cache(maxsize=2)
def _read(path: Path) -> np.ndarray:
    """A decoded image; neighbours in the plan are often cropped from the same one."""
    return read_rgb(path)


def _crop(image: np.ndarray, box: tuple[int, int, int]) -> np.ndarray:
    left, top, side = box
    return image[top : top + side, left : left + side]


def _half(image: np.ndarray, half: Half | None) -> np.ndarray:
    middle = image.shape[1] // 2
    match half:
        case "left":
            return image[:, :middle]
        case "right":
            return image[:, middle:]
        case None:
            return image


@dataclass(frozen=True)
class _Maker:
    """Makes one pair.

    Attributes:
        settings: of the task.
        raw: the fetched source.
        out: folder to fill.
    """

    settings: PairStageSettings
    raw: Path
    out: Path

    def _given(self, pair: PairSpec, target: np.ndarray) -> np.ndarray:
        """The source's own input, cropped and resized as its whole target (H, W, 3) is."""
        assert pair.input is not None
        image = _half(_read(self.raw / pair.input), pair.input_half)
        (height, width), (rows, columns) = image.shape[:2], target.shape[:2]
        if not same_aspect((height, width), (rows, columns)):
            raise UserError(
                f"{pair.input} ({width}x{height}) has another shape than {pair.target} "
                f"({columns}x{rows}): crop one of them"
            )
        scale = width / columns
        left, top, side = pair.input_box or (round(value * scale) for value in pair.box)
        side = min(side, height - top, width - left)
        small = self.settings.pair.size // self.settings.definition.reduction
        return resize(_crop(image, (left, top, side)), (small, small))

    def __call__(self, item: tuple[PairSpec, str]) -> dict[str, Any]:
        """Write a pair of a split; returns its record for the manifest."""
        pair, split = item
        settings, size = self.settings, self.settings.pair.size
        whole = _half(_read(self.raw / pair.target), pair.target_half)
        target = resize(_crop(whole, pair.box), (size, size))
        if pair.input is None:
            noise_seed = int(unit_hash(settings.seed, f"degrade/{pair.id}") * 2**32)
            image, how = degrade(target, settings.definition, settings.pair, noise_seed)
        else:
            image, how = self._given(pair, whole), {"kind": "given", "file": pair.input}
        entry: dict[str, Any] = {"id": pair.id, "split": split, "group": pair.group}
        for kind, content in (("input", image), ("target", target)):
            data = png_bytes(content)
            path = f"{split}/{kind}/{pair.id}.png"
            (self.out / path).parent.mkdir(parents=True, exist_ok=True)
            (self.out / path).write_bytes(data)
            entry[kind] = path
            entry[f"{kind}_sha256"] = hashlib.sha256(data).hexdigest()
        source = {"file": pair.target, "box": pair.box}
        return {**entry, "source": source, "degradation": how, **dict(pair.notes)}


def _entries(journal: Path, hashes: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Records of the manifest: the journal's, with the hashes of the source's files."""
    for entry in read_lines(journal):
        source, how = entry["source"], entry["degradation"]
        source["sha256"] = hashes[source["file"]]
        if how["kind"] == "given":
            how["sha256"] = hashes[how["file"]]
        yield entry


def make_pairs(settings: PairStageSettings, raw: Path, out: Path, scratch: Path) -> dict[str, int]:
    """Write the pairs of one task; returns the number of pairs per split.

    A killed run is continued by the next one with the same settings, source and code. The caller
    holds the lock of the task's data (`chimle.data.task_lock`).

    Args:
        settings: the task's settings.
        raw: a fetched source (`chimle.data.fetch.fetching.fetch`).
        out: folder that is replaced once all pairs are written. It then holds
            `SPLIT/input/ID.png`, `SPLIT/target/ID.png`, `pairs.jsonl` and `manifest.json`.
        scratch: an ignored folder, kept between runs.

    Raises:
        UserError: an image is too small or damaged, shapes differ, or a split is empty.
    """
    relevant = settings.model_dump(mode="json", include={"task", "seed", "pair"})
    key = digest([relevant, read_header(raw, SOURCE), running_code(Path(__file__))])[:16]
    work = scratch / "pair" / settings.task / key
    plan = make_plan(settings, raw, work / "plan")
    staging, journal = work / "staging", work / "journal.jsonl"
    if not staging.is_dir():
        journal.unlink(missing_ok=True)
        staging.mkdir(parents=True)
    maker = _Maker(settings, raw, staging)
    journalled(journal, plan.pairs, maker, report=lambda text: print(f"pair: {text}"))
    found = Counter(split for _, split in plan.pairs)
    counts = {split: found[split] for split in SPLITS}
    header = {
        "task": settings.task,
        "size": settings.pair.size,
        "degradation": parameters_of(settings.definition, settings.pair),
        "counts": counts,
        **plan.header,
    }
    write_records(staging, PAIRS, header, _entries(journal, plan.hashes))
    put_in_place(staging, out)
    shutil.rmtree(work.parent, ignore_errors=True)
    return counts
