"""Counts of a manifest's header, and a one-line summary."""

from collections import Counter
from typing import Any

from chimle.data.pair.splits import SPLITS


def pair_counts(manifest: dict[str, Any]) -> dict[str, int]:
    """Counts of a manifest's header: pairs, images left out, frames of cameras."""
    counts = {f"pairs_{split}": manifest["counts"].get(split, 0) for split in SPLITS}
    if manifest.get("skipped"):
        counts["skipped"] = len(manifest["skipped"])
    if "near_duplicates" in manifest:
        lines = manifest["near_duplicates"]
        counts["near_duplicates"] = len(lines)
        counts["near_duplicates_across_splits"] = sum(len(set(one["splits"])) > 1 for one in lines)
        counts["dropped_near_duplicates"] = len({n for one in lines for n in one["dropped"]})
    if "timelapse" in manifest:
        cameras = manifest["timelapse"]["cameras"]
        counts["cameras"] = len(cameras)
        for kind in ("night", "dusk", "day"):
            counts[f"frames_{kind}"] = sum(one[kind] for one in cameras.values())
        counts["frames_rejected"] = len(manifest["timelapse"]["rejected"])
    return counts


def summary(manifest: dict[str, Any]) -> str:
    """One line on a folder of pairs."""
    count = Counter(pair_counts(manifest))
    parts = [f"{count[f'pairs_{split}']} {split}" for split in SPLITS]
    if count["skipped"]:
        parts.append(f"{count['skipped']} skipped")
    if count["near_duplicates"]:
        parts.append(
            f"{count['near_duplicates']} near-duplicates "
            f"({count['near_duplicates_across_splits']} across splits), "
            f"{count['dropped_near_duplicates']} dropped"
        )
    if count["cameras"]:
        frames = ", ".join(f"{count[f'frames_{kind}']} {kind}" for kind in ("night", "dusk", "day"))
        parts.append(f"{count['cameras']} cameras: {frames}, {count['frames_rejected']} left out")
    return ", ".join(parts)
