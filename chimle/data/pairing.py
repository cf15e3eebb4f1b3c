"""Photographs become pairs: cut, split by group, degraded, written with a manifest.

The same photographs, settings and seed give the same bytes. A group (a photograph, or a region of a
built-in one) lies in one split, chosen by a hash of its name, so that adding files moves none.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chimle.errors import UserError
from chimle.files import replaced_folder, write_bytes, write_text
from chimle.images.decode import png_bytes, read_rgb
from chimle.images.degrade import degrade
from chimle.images.pyramid import resize
from chimle.settings import PairSettings, RunSettings

FORMAT = 1
"""Version of the manifest."""
SPLITS = ("train", "validation", "test")
_FOLDER_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "eval": "test",
}
"""Top-level subfolders of a source that decide the split themselves."""
REGION = 1.5
"""Side of a built-in photograph's region over `pair.size`: reduced, it is sharp and clean."""


@dataclass(frozen=True)
class Cut:
    """A square of a photograph that becomes a target."""

    id: str
    group: str
    file: str
    box: tuple[int, int, int]
    """Left, top, side, in the photograph's pixels."""


def unit_hash(seed: int, name: str) -> float:
    """A number in [0, 1) from a name and the seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _regions(file: str, width: int, height: int, size: int) -> Iterator[Cut]:
    """Disjoint squares of a built-in photograph."""
    side = int(size * REGION)
    stem = Path(file).stem
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            name = f"{stem}_{top:04}_{left:04}"
            yield Cut(name, name, file, (left, top, side))


def _centre(file: str, width: int, height: int, size: int) -> Cut:
    """The largest central square of a photograph."""
    side = min(width, height)
    if side < size:
        raise UserError(
            f"{file} is {width}x{height}, smaller than `pair.size` {size}: remove it or lower "
            "`pair.size`"
        )
    name = Path(file).relative_to("targets").with_suffix("").as_posix()
    return Cut(
        name.replace("/", "__"), name, file, ((width - side) // 2, (height - side) // 2, side)
    )


def _crop(picture: np.ndarray, box: tuple[int, int, int]) -> np.ndarray:
    left, top, side = box
    return picture[top : top + side, left : left + side]


def _splits(cuts: list[Cut], settings: PairSettings, seed: int) -> dict[str, str]:
    """Split of every group."""
    groups = sorted({cut.group for cut in cuts})
    tops = {group: group.split("/")[0].lower() for group in groups}
    if any(top == "train" for top in tops.values()):
        stray = [group for group in groups if tops[group] not in _FOLDER_SPLITS]
        if stray:
            raise UserError(
                f"{stray[0]} lies beside the folder `train`: use only "
                f"{', '.join(_FOLDER_SPLITS)}, or no such folder"
            )
        chosen = {group: _FOLDER_SPLITS[tops[group]] for group in groups}
    else:
        chosen = {}
        for group in groups:
            place = unit_hash(seed, group)
            held = settings.test + settings.validation
            chosen[group] = (
                "test" if place < settings.test else "validation" if place < held else "train"
            )
        if len(groups) > 1 and "test" not in chosen.values():
            # So few groups that chance left none: the one nearest to the threshold.
            chosen[min(groups, key=lambda group: unit_hash(seed, group))] = "test"
    for split in ("train", "test"):
        if split not in chosen.values():
            raise UserError(
                f"no pair is left for the split `{split}`: add photographs or change "
                "`pair.test` and `pair.validation`"
            )
    return chosen


def _limited(cuts: list[Cut], splits: dict[str, str], limit: int | None, seed: int) -> list[Cut]:
    """At most `limit` cuts per split, the same ones whatever else is there."""
    kept: list[Cut] = []
    for split in SPLITS:
        members = [cut for cut in cuts if splits[cut.group] == split]
        members.sort(key=lambda cut: (unit_hash(seed, f"limit/{cut.id}"), cut.id))
        kept += members[:limit]
    return sorted(kept, key=lambda cut: cut.id)


def _paired_input(raw: Path, name: str, cut: Cut, shape: tuple[int, ...], size: int) -> np.ndarray:
    """The source's own input, cut and resized like its target."""
    picture = read_rgb(raw / name)
    height, width = picture.shape[:2]
    scale = width / shape[1]
    if abs(height - shape[0] * scale) > max(1.0, 0.01 * height):
        raise UserError(
            f"{name} ({width}x{height}) has another shape than {cut.file} "
            f"({shape[1]}x{shape[0]}): crop one of them"
        )
    left, top, side = (round(value * scale) for value in cut.box)
    side = min(side, height - top, width - left)
    return resize(_crop(picture, (left, top, side)), (size, size))


def _read_source(raw: Path) -> dict[str, Any]:
    try:
        return json.loads((raw / "source.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{raw / 'source.json'} does not exist: run stages.fetch first") from None
    except ValueError:
        raise UserError(f"{raw / 'source.json'} is damaged: run stages.fetch again") from None


def make_pairs(settings: RunSettings, raw: Path, out: Path) -> dict[str, int]:
    """Write the pairs of one task; returns the number of pairs per split.

    Args:
        settings: the task's settings.
        raw: a fetched source (`chimle.data.sources.fetch`).
        out: folder that is replaced when all pairs are written. It then holds
            `SPLIT/input/ID.png`, `SPLIT/target/ID.png` and `manifest.json`.

    Raises:
        UserError: a photograph is too small or damaged, shapes differ, or a split stays empty.
    """
    source = _read_source(raw)
    pair, task, size = settings.pair, settings.definition, settings.pair.size
    records = {record["file"]: record for record in source["files"]}
    inputs = {Path(f).with_suffix("").as_posix(): f for f in records if f.startswith("inputs/")}
    cuts: list[Cut] = []
    for file, record in sorted(records.items()):
        if file.startswith("targets/"):
            sides = record["width"], record["height"]
            if source["kind"] == "builtin":
                cuts += _regions(file, *sides, size)
            else:
                cuts.append(_centre(file, *sides, size))
    splits = _splits(cuts, pair, settings.seed)
    counts = dict.fromkeys(SPLITS, 0)
    entries = []
    photograph, photograph_name = np.empty(0), ""
    with replaced_folder(out) as folder:
        for cut in _limited(cuts, splits, pair.limit, settings.seed):
            if cut.file != photograph_name:
                photograph, photograph_name = read_rgb(raw / cut.file), cut.file
            target = resize(_crop(photograph, cut.box), (size, size))
            name = cut.file.replace("targets/", "inputs/", 1)
            given = inputs.get(Path(name).with_suffix("").as_posix())
            if given:
                shape = photograph.shape[:2]
                picture = _paired_input(raw, given, cut, shape, size // task.reduction)
                how: dict[str, Any] = {"kind": "given", "file": given}
                how["sha256"] = records[given]["sha256"]
            else:
                noise_seed = int(unit_hash(settings.seed, f"degrade/{cut.id}") * 2**32)
                picture, how = degrade(target, task, pair, noise_seed)
            split = splits[cut.group]
            entry = {"id": cut.id, "split": split, "group": cut.group}
            for kind, content in (("input", picture), ("target", target)):
                data = png_bytes(content)
                path = f"{split}/{kind}/{cut.id}.png"
                write_bytes(folder / path, data)
                entry[kind] = path
                entry[f"{kind}_sha256"] = hashlib.sha256(data).hexdigest()
            origin = {"file": cut.file, "sha256": records[cut.file]["sha256"], "box": cut.box}
            entries.append({**entry, "source": origin, "degradation": how})
            counts[split] += 1
        manifest = {"format": FORMAT, "task": task.name, "size": size, "pairs": entries}
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return counts
