"""Splits into train, validation and test: by a hash of the group, so that added files move none."""

import hashlib
from collections.abc import Sequence

from chimle.data.pair.pair_specs import PairSpec, stem
from chimle.errors import UserError
from chimle.settings.pair import PairSettings

SPLITS = ("train", "validation", "test")
_FOLDER_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "eval": "test",
}
"""Top-level folders of a source that fix the split."""


def unit_hash(seed: int, name: str) -> float:
    """A number in [0, 1) from a name and the seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _by_folder(plan: Sequence[PairSpec]) -> dict[str, str]:
    """Splits of groups by the source's own folders; empty if it has no folder `train`."""
    names = sorted((stem(pair.target), pair.group) for pair in plan)
    # A file of that name is no folder.
    tops = {name: name.split("/")[0].lower() if "/" in name else "" for name, _ in names}
    if "train" not in tops.values():
        return {}
    stray = [name for name, top in tops.items() if top not in _FOLDER_SPLITS]
    if stray:
        raise UserError(
            f"{stray[0]} lies beside the folder `train`: use only "
            f"{', '.join(_FOLDER_SPLITS)}, or no such folder"
        )
    return {group: _FOLDER_SPLITS[tops[name]] for name, group in names}


def split_by_hash(group: str, settings: PairSettings, seed: int) -> str:
    """Split of a group by its name and the seed alone."""
    place = unit_hash(seed, group)
    if place < settings.test:
        return "test"
    return "validation" if place < settings.test + settings.validation else "train"


def first_by_hash(groups: Sequence[str], seed: int) -> str:
    """The group that joins the test split first where that split is empty."""
    return min(groups, key=lambda group: unit_hash(seed, group))


def by_hash(groups: Sequence[str], settings: PairSettings, seed: int) -> dict[str, str]:
    """Split of every group by its name and the seed; the test split is never empty."""
    chosen = {group: split_by_hash(group, settings, seed) for group in groups}
    if len(groups) > 1 and "test" not in chosen.values():
        chosen[first_by_hash(groups, seed)] = "test"
    return chosen


def split_groups(plan: Sequence[PairSpec], settings: PairSettings, seed: int) -> dict[str, str]:
    """Split of every group: fixed by the plan, by folders, or by hash.

    Raises:
        UserError: an unknown folder is beside `train`, or the train or test split is empty.
    """
    decided = {pair.group: pair.split for pair in plan if pair.split}
    undecided = [pair for pair in plan if pair.group not in decided]
    groups = sorted({pair.group for pair in undecided})
    chosen = decided | (_by_folder(undecided) or by_hash(groups, settings, seed))
    for split in ("train", "test"):
        if split not in chosen.values():
            raise UserError(
                f"no pair is left for the split `{split}`: add images or change "
                "`pair.test` and `pair.validation`"
            )
    return chosen


def limited(
    plan: Sequence[PairSpec], splits: dict[str, str], limit: int | None, seed: int
) -> list[PairSpec]:
    """At most `limit` pairs per split, by id; the choice does not depend on the other pairs."""
    selected: list[PairSpec] = []
    for split in SPLITS:
        members = [pair for pair in plan if splits[pair.group] == split]
        members.sort(key=lambda pair: (unit_hash(seed, f"limit/{pair.id}"), pair.id))
        selected += members[:limit]
    return sorted(selected, key=lambda pair: pair.id)
