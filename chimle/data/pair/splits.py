"""Which pairs train, validate and test: by groups, by hash, so that added files move none."""

import hashlib
from collections.abc import Sequence

from chimle.data.pair.pair_specs import PairSpec
from chimle.errors import UserError
from chimle.settings import PairSettings

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


def unit_hash(seed: int, name: str) -> float:
    """A number in [0, 1) from a name and the seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _by_folder(groups: Sequence[str]) -> dict[str, str]:
    """Splits that the source's own folders give; empty if it has no folder `train`."""
    tops = {group: group.split("/")[0].lower() for group in groups}
    if "train" not in tops.values():
        return {}
    stray = [group for group in groups if tops[group] not in _FOLDER_SPLITS]
    if stray:
        raise UserError(
            f"{stray[0]} lies beside the folder `train`: use only "
            f"{', '.join(_FOLDER_SPLITS)}, or no such folder"
        )
    return {group: _FOLDER_SPLITS[tops[group]] for group in groups}


def by_hash(groups: Sequence[str], settings: PairSettings, seed: int) -> dict[str, str]:
    """Split of every group, by nothing but its name; among few, one goes to the test by force."""
    chosen = {}
    held = settings.test + settings.validation
    for group in groups:
        place = unit_hash(seed, group)
        chosen[group] = (
            "test" if place < settings.test else "validation" if place < held else "train"
        )
    if len(groups) > 1 and "test" not in chosen.values():
        # So few groups that chance left none: the one nearest to the threshold.
        chosen[min(groups, key=lambda group: unit_hash(seed, group))] = "test"
    return chosen


def split_groups(plan: Sequence[PairSpec], settings: PairSettings, seed: int) -> dict[str, str]:
    """Split of every group: the plan's own, the folders', or one by hash.

    Raises:
        UserError: a folder lies beside `train`, or no pair is left to train on or to test with.
    """
    decided = {pair.group: pair.split for pair in plan if pair.split}
    groups = sorted({pair.group for pair in plan} - set(decided))
    chosen = decided | (_by_folder(groups) or by_hash(groups, settings, seed))
    for split in ("train", "test"):
        if split not in chosen.values():
            raise UserError(
                f"no pair is left for the split `{split}`: add photographs or change "
                "`pair.test` and `pair.validation`"
            )
    return chosen


def limited(
    plan: Sequence[PairSpec], splits: dict[str, str], limit: int | None, seed: int
) -> list[PairSpec]:
    """At most `limit` pairs per split, the same ones whatever else is there; by id."""
    kept: list[PairSpec] = []
    for split in SPLITS:
        members = [pair for pair in plan if splits[pair.group] == split]
        members.sort(key=lambda pair: (unit_hash(seed, f"limit/{pair.id}"), pair.id))
        kept += members[:limit]
    return sorted(kept, key=lambda pair: pair.id)
