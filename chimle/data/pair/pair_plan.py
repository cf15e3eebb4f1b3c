"""The plan of a task's pairs: which pairs a fetched source gives, and their splits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimle.data.manifests import SOURCE, read_header, read_records
from chimle.data.pair.near_duplicates import duplicate_lines, near_duplicates
from chimle.data.pair.pair_specs import (
    PairSpec,
    SizeFilter,
    plan_halves,
    plan_images,
    plan_regions,
    stem,
)
from chimle.data.pair.splits import limited, split_groups
from chimle.data.pair.timelapse.night_day_pairs import plan_timelapse
from chimle.errors import UserError
from chimle.settings.pair import PairStageSettings


@dataclass
class Plan:
    """All pairs of a source.

    Attributes:
        pairs: with their splits, by id.
        hashes: SHA-256 of the source's files.
        header: fields of the manifest on what was left out, and why.
    """

    pairs: list[tuple[PairSpec, str]]
    hashes: dict[str, str]
    header: dict[str, Any]


def _without_duplicates(
    plan: list[PairSpec],
    splits: dict[str, str],
    records: list[dict[str, Any]],
    settings: PairStageSettings,
    raw: Path,
    work: Path,
) -> tuple[list[PairSpec], list[dict[str, Any]]]:
    """The pairs that stay, and the near-duplicates among all pairs.

    Raises:
        UserError: none of the training split stays.
    """
    own = {pair.target: splits[pair.group] for pair in plan}
    used = [record for record in records if record["file"] in own]
    found = near_duplicates(used, settings.pair, raw, work / "duplicates.jsonl")
    lines = duplicate_lines(
        [stem(record["file"]) for record in used],
        found,
        [own[record["file"]] for record in used],
        settings.pair.duplicates == "drop",
    )
    gone = {name for line in lines for name in line["dropped"]}
    kept = [pair for pair in plan if stem(pair.target) not in gone]
    if not any(splits[pair.group] == "train" for pair in kept):
        raise UserError(
            f"`pair.duplicates`: all {len(gone)} images of the split `train` are near-duplicates "
            "of held-out images: add others, raise `pair.duplicate_likeness`, or set "
            "`pair.duplicates` to report"
        )
    return kept, lines


def make_plan(settings: PairStageSettings, raw: Path, work: Path) -> Plan:
    """The pairs that a fetched source gives.

    Args:
        settings: the task's.
        raw: the fetched source.
        work: folder for journals, to resume a killed run.

    Raises:
        UserError: an image is too small, or a split is empty.
    """
    header, pair = read_header(raw, SOURCE), settings.pair
    by_kind: dict[str, list[dict[str, Any]]] = {"targets": [], "inputs": []}
    for record in read_records(raw, SOURCE):
        by_kind[record["file"].split("/", 1)[0]].append(record)
    targets, inputs = by_kind["targets"], by_kind["inputs"]
    size_filter, header_parts = SizeFilter(pair, settings.definition.reduction), dict[str, Any]()
    if pair.timelapse:
        annotations = raw / header["annotations"] if "annotations" in header else None
        timelapse = plan_timelapse(targets, annotations, settings, raw, work, size_filter)
        plan, header_parts["timelapse"] = timelapse.pairs, timelapse.report
    elif header["kind"] == "builtin":
        plan = list(plan_regions(targets, pair))
    elif header["side_by_side"]:
        plan = list(plan_halves(targets, header["side_by_side"], size_filter))
    else:
        plan = list(plan_images(targets, inputs, size_filter))
    header_parts["skipped"] = size_filter.skipped
    if not plan:
        halves = " or of an odd width" if header["side_by_side"] else ""
        raise UserError(
            f"`pair.size` {pair.size}: every image or its input is smaller{halves}; lower it"
        )
    splits = split_groups(plan, pair, settings.seed)
    # Regions share no pixel, and frames of a fixed camera always look alike.
    if pair.duplicates != "keep" and header["kind"] != "builtin" and not pair.timelapse:
        plan, header_parts["near_duplicates"] = _without_duplicates(
            plan, splits, targets, settings, raw, work
        )
    selected = limited(plan, splits, pair.limit, settings.seed)
    hashes = {record["file"]: record["sha256"] for record in (*targets, *inputs)}
    return Plan([(one, splits[one.group]) for one in selected], hashes, header_parts)
