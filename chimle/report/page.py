"""The report: one self-contained HTML page, and one overview image for the README."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.errors import UserError
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import png_bytes, read_rgb
from chimle.io.html_templates import render_html
from chimle.metrics.metric import Group
from chimle.metrics.metric_table import MetricRow, metric_rows, trained_features
from chimle.report.charts import best_of_chart, training_charts
from chimle.report.results import read_gallery, read_provenance, read_task_metrics
from chimle.tasks import get_task

OVERVIEW_SAMPLES = 5
"""Samples per task in the overview image."""
OVERVIEW_BYTES = 300_000
"""Upper limit of the overview image."""
TINY = 32
"""Images with a shorter side are shown with visible pixels."""
RANDOM_ORIGIN = "random"
"""Origin of an extractor without pretrained weights."""

_FIRST_LINE = ("lpips_{features}_best_of_{count}", "lpips_{features}")
"""Metrics at the top of the page, after those of agreement with the input."""
WEBP_QUALITY = 90
"""Quality of the images of a page to publish."""

_PNG = b"\x89PNG\r\n\x1a\n"


def _embedded(path: Path, publish: bool) -> dict[str, Any]:
    """A PNG file as a data URI, as WebP where `publish`, and whether it is below `TINY`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.evaluate again") from None
    if not content.startswith(_PNG) or len(content) < 24:
        raise UserError(f"{path} is no PNG file: run stages.evaluate again")
    side = min(int.from_bytes(content[k : k + 4], "big") for k in (16, 20))
    kind = "png"
    if publish and side >= TINY:
        kind, content = "webp", _webp(read_rgb(path))
    uri = f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")
    return {"uri": uri, "tiny": side < TINY}


def _webp(rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as WebP of `WEBP_QUALITY`."""
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "WEBP", quality=WEBP_QUALITY, method=6)
    return stream.getvalue()


def _gallery(folder: Path, publish: bool) -> list[dict[str, Any]]:
    """Entries of a task's gallery with embedded images."""
    embedded = partial(_embedded, publish=publish)
    return [
        {
            "id": entry["id"],
            "input": embedded(folder / entry["input"]),
            "enlarged": embedded(folder / entry["enlarged"]) if "enlarged" in entry else None,
            "target": embedded(folder / entry["target"]),
            "samples": [embedded(folder / name) for name in entry["samples"]],
        }
        for entry in read_gallery(folder)
    ]


def _facts(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """Provenance as (name, value) lines; one level of nesting becomes `outer: inner`."""
    facts = []
    for name, value in sorted(provenance.items()):
        inner = sorted(value.items()) if isinstance(value, dict) else [("", value)]
        for key, item in inner if name != "warnings" else []:
            label = f"{name}: {key}" if key else name
            text = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
            facts.append((label.replace("_", " "), text))
    return facts


def _contact(path: Path) -> str | None:
    """The contact sheet of a task's pairs; None where the pairs were made elsewhere."""
    if not path.exists():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _first_line(rows: Sequence[MetricRow]) -> list[MetricRow]:
    """Metrics at the top of the page: agreement with the input, then LPIPS."""
    declared = [(row, row.metric) for row in rows if row.metric is not None]
    return [
        row
        for row, metric in declared
        if metric.template in _FIRST_LINE or (metric.headline and metric.group is Group.AGREES)
    ]


def _section(root: Path, task: str, publish: bool) -> dict[str, Any]:
    """Template values of one task's section."""
    provenance = read_provenance(root / "metrics" / f"{task}.provenance.json")
    rows = metric_rows(read_task_metrics(root, task), trained_features(provenance))
    groups = list(dict.fromkeys(row.group for row in rows))
    extractor = provenance["extractor"]
    return {
        "name": task,
        "title": get_task(task).title,
        "gallery": _gallery(root / "galleries" / task, publish),
        "rows": rows,
        "groups": [(group, [row for row in rows if row.group == group]) for group in groups],
        "headline": _first_line(rows),
        "best_of": best_of_chart(root / "curves" / "best_of_k" / f"{task}.csv"),
        "charts": training_charts(root / "curves" / f"{task}.csv"),
        "contact": None if publish else _contact(root / "data" / "contact" / f"{task}.png"),
        "facts": _facts(provenance),
        "extractor": extractor.get("name", "unknown"),
        "random": extractor.get("origin") == RANDOM_ORIGIN,
        "preset": provenance.get("preset", "unknown"),
        "seed": provenance.get("seed", "unknown"),
        "n": provenance["n"],
        "samples": provenance["samples_per_input"],
        "warnings": provenance["warnings"],
    }


def render(root: Path, tasks: Sequence[str], publish: bool = False) -> str:
    """The page of the tasks' results below `root`.

    The same inputs give the same bytes. The page loads nothing.

    Args:
        root: the project's directory.
        tasks: their names, in order.
        publish: for a page to publish: photographs as WebP, a tenth of the size, and no contact
            sheets of the data set.

    Raises:
        UserError: a file is missing or damaged.
    """
    sections = [_section(root, task, publish) for task in tasks]
    return render_html(Path(__file__).with_name("page.html.j2"), sections=sections) + "\n"


def overview(root: Path, tasks: Sequence[str], side: int = 128) -> bytes:
    """PNG for the README: per task a row of input, samples and target.

    Images are `side` pixels wide, or less where `OVERVIEW_BYTES` would be exceeded.
    """
    rows = []
    for task in tasks:
        folder = root / "galleries" / task
        entries = read_gallery(folder)
        entry = entries[len(entries) // 2]
        names = [entry["input"], entry["target"], *entry["samples"][:OVERVIEW_SAMPLES]]
        rows.append([read_rgb(folder / name) for name in names])
    shown = max(len(row) for row in rows) - 2
    headings = ["input", "target", *(f"sample {j + 1}" for j in range(shown))]
    titles = [get_task(task).title for task in tasks]
    while True:
        content = png_bytes(contact_sheet(rows, side, headings, titles))
        if len(content) < OVERVIEW_BYTES or side <= 32:
            return content
        side -= 16
