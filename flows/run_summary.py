"""A run's summary as self-contained markdown: outcome, metrics, small images."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from PIL import Image
from PIL.Image import Resampling

from flows.bundles import Published
from flows.compare import MetricChange
from flows.flow_settings import ImageSettings

_SIDE = 88
"""Longest side of an image, in pixels."""


def _data_uri(path: Path) -> str:
    with Image.open(path) as image:
        size = [max(1, round(side * _SIDE / max(image.size))) for side in image.size]
        # Small inputs keep their pixels visible.
        method = Resampling.NEAREST if max(image.size) < _SIDE else Resampling.LANCZOS
        small = image.convert("RGB").resize((size[0], size[1]), method)
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def image_table(folder: Path, settings: ImageSettings) -> str:
    """Inputs, samples and targets of a task's gallery, each image a data URI.

    Args:
        folder: `galleries/TASK` of a work tree.
        settings: how many.
    """
    file = folder / "gallery.json"
    if not file.exists() or not settings.rows:
        return ""
    rows = []
    for entry in json.loads(file.read_text(encoding="utf-8"))[: settings.rows]:
        names = [entry["input"], *entry["samples"][: settings.samples], entry["target"]]
        rows.append("| " + " | ".join(f"![]({_data_uri(folder / name)})" for name in names) + " |")
    count = rows[0].count("![]") - 2
    headings = ["input", *(f"sample {number}" for number in range(count)), "target"]
    rule = "|---" * len(headings) + "|"
    return "\n".join(["| " + " | ".join(headings) + " |", rule, *rows])


def change_table(changes: Sequence[MetricChange]) -> str:
    """Metrics that changed, or that the base revision lacks, as a markdown table."""
    changed = [change.row() for change in changes if change.base != change.now]
    if not changed:
        return "No metric changed."
    lines = ["| metric | base | now | change |", "|---|---|---|---|"]
    lines += ["| {metric} | {base} | {now} | {change} |".format(**row) for row in changed]
    return "\n".join(lines)


def model_version(tree: Path, task: str) -> str:
    """First twelve digits of DVC's hash of a task's bundle; empty if `dvc.lock` has none."""
    lock = yaml.safe_load((tree / "dvc.lock").read_text(encoding="utf-8"))
    outputs = lock["stages"].get(f"train@{task}", {}).get("outs", [])
    found = [out["md5"] for out in outputs if out["path"] == f"models/{task}"]
    return found[0][:12] if found else ""


def write_summary(
    tree: Path,
    tasks: Sequence[str],
    changes: Sequence[MetricChange],
    settings: ImageSettings,
    *,
    revision: str,
    base: str,
    outcome: str,
    bundles: dict[str, Published],
) -> str:
    """The summary of a run.

    Args:
        tree: work tree with `galleries/` and `dvc.lock`.
        tasks: in the order to show.
        changes: metrics beside the base revision's.
        settings: how many images.
        revision: commit that was run.
        base: commit that it is compared with.
        outcome: one sentence on what was done with the results.
        bundles: those that were uploaded, by task.
    """
    parts = [f"Revision `{revision[:12]}`, compared with `{base[:12]}`. {outcome}"]
    for task in tasks:
        parts.append(f"## {task.replace('_', ' ').capitalize()}")
        if version := model_version(tree, task):
            parts.append(f"Model `models/{task}` is `{version}` in DVC.")
        if task in bundles:
            parts.append(f"Bundle version `{bundles[task].version}`: `{bundles[task].address}`")
        parts.append(image_table(tree / "galleries" / task, settings))
        parts.append(change_table([change for change in changes if change.task == task]))
    return "\n\n".join(part for part in parts if part) + "\n"
