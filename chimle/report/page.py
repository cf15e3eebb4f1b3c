"""The report: one HTML page with everything inside, and one picture for the README."""

import base64
import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from chimle.errors import UserError
from chimle.images.contact_sheet import Chart, chart, contact_sheet
from chimle.images.decode import png_bytes, read_rgb
from chimle.metrics.metric_table import metric_rows
from chimle.tasks import get_task

OVERVIEW_SAMPLES = 5
"""Samples per task in the overview picture."""
OVERVIEW_BYTES = 300_000
"""The overview picture stays below."""
TINY = 32
"""Pictures with a shorter side are shown with visible pixels."""
RANDOM_ORIGIN = "random"
"""Origin of an extractor without pretrained weights."""

_CURVES = (("loss_level_", "Training loss"), ("search_distance_level_", "Distance after search"))
_BEST_OF = ("lpips", "low", "high")
_PNG = b"\x89PNG\r\n\x1a\n"


def read_json(path: Path) -> Any:
    """A JSON file of the evaluate stage; `UserError` where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.evaluate first") from None
    except ValueError:
        raise UserError(f"{path} is damaged: run stages.evaluate again") from None


def read_task_metrics(root: Path, task: str) -> dict[str, float]:
    """All metrics of a task: those of the short file and the others."""
    folder = root / "metrics"
    short = read_metrics(folder / f"{task}.json")
    return short | read_metrics(folder / "details" / f"{task}.json")


def read_metrics(path: Path) -> dict[str, float]:
    """A metrics file; `UserError` names a value that is no finite number."""
    metrics = read_json(path)
    if not isinstance(metrics, dict) or not metrics:
        raise UserError(f"{path} must map metric names to numbers: run stages.evaluate again")
    for name, value in metrics.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise UserError(f"{path}: `{name}` is no finite number: run stages.evaluate again")
    return metrics


def read_provenance(path: Path) -> dict[str, Any]:
    """A provenance file; `UserError` names a field that is missing or of another kind."""
    provenance = read_json(path)
    if not isinstance(provenance, dict):
        raise UserError(f"{path} must map names to values: run stages.evaluate again")
    fields = (("n", int), ("samples_per_input", int), ("warnings", list), ("extractor", dict))
    for field, kind in fields:
        if not isinstance(provenance.get(field), kind):
            raise UserError(f"{path} lacks `{field}`: run stages.evaluate again")
    return provenance


def read_gallery(folder: Path) -> list[dict[str, Any]]:
    """Entries of a gallery: an id, and files for `input`, `target` and one or more `samples`."""
    path = folder / "gallery.json"
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} lists no picture: run stages.evaluate again")
    for place, entry in enumerate(entries):
        try:
            names = [entry["input"], entry["target"], *entry["samples"]]
            # A name with folders could pull any file of the machine into the page.
            well = all(Path(name).name == name for name in names) and isinstance(entry["id"], str)
        except (KeyError, TypeError):
            well = False
        if not well or not entry["samples"]:
            raise UserError(f"{path}: entry {place} is damaged: run stages.evaluate again")
    return entries


def _picture(path: Path) -> dict[str, Any]:
    """A PNG file as a data URI, and whether it is so small that its pixels should show."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.evaluate again") from None
    if not content.startswith(_PNG) or len(content) < 24:
        raise UserError(f"{path} is no PNG file: run stages.evaluate again")
    side = min(int.from_bytes(content[k : k + 4], "big") for k in (16, 20))
    uri = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
    return {"uri": uri, "tiny": side < TINY}


def _gallery(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "id": entry["id"],
            "input": _picture(folder / entry["input"]),
            "target": _picture(folder / entry["target"]),
            "samples": [_picture(folder / name) for name in entry["samples"]],
        }
        for entry in read_gallery(folder)
    ]


def _columns(path: Path, key: str, stage: str) -> dict[str, list[float]]:
    """A table of finite numbers by column; `UserError` says which stage to run (again)."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run {stage} first") from None
    except (csv.Error, UnicodeDecodeError):
        raise UserError(f"{path} is damaged: run {stage} again") from None
    columns: dict[str, list[float]] = {}
    for number, row in enumerate(rows, start=2):
        for name, text in row.items():
            try:
                value = float(text)
            except (TypeError, ValueError):
                value = math.nan
            if not math.isfinite(value):
                raise UserError(
                    f"{path}: line {number}: `{name}` is no finite number: run {stage} again"
                )
            columns.setdefault(name, []).append(value)
    if columns and key not in columns:
        raise UserError(f"{path} has no column `{key}`: run {stage} again")
    return columns


def charts(path: Path) -> list[Chart]:
    """Charts of a training curve: loss and searched distance, a line per level."""
    columns = _columns(path, "step", "stages.train")
    found = []
    for start, title in _CURVES:
        curves = {f"level {n[len(start) :]}": v for n, v in columns.items() if n.startswith(start)}
        if curves:
            found.append(chart(title, columns["step"], curves))
    return found


def best_of_chart(path: Path) -> Chart:
    """Chart of the distance of the best of k samples, with the ends of its interval."""
    columns = _columns(path, "k", "stages.evaluate")
    if missing := [name for name in _BEST_OF if name not in columns]:
        raise UserError(f"{path} has no column `{missing[0]}`: run stages.evaluate again")
    names = ("best of k", "interval, low end", "high end")
    curves = {name: columns[column] for name, column in zip(names, _BEST_OF, strict=True)}
    return chart("Distance of the best of k samples", columns["k"], curves)


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
    """The sheet of a task's pairs; None where they were made elsewhere."""
    if not path.exists():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _section(root: Path, task: str) -> dict[str, Any]:
    provenance = read_provenance(root / "metrics" / f"{task}.provenance.json")
    rows = metric_rows(read_task_metrics(root, task))
    groups = list(dict.fromkeys(row.group for row in rows))
    extractor = provenance["extractor"]
    return {
        "name": task,
        "title": get_task(task).title,
        "gallery": _gallery(root / "pictures" / task),
        "rows": rows,
        "groups": [(group, [row for row in rows if row.group == group]) for group in groups],
        "headline": [r for r in rows if r.name.startswith("lpips_") and r.baseline is not None],
        "best_of": best_of_chart(root / "curves" / "best_of_k" / f"{task}.csv"),
        "charts": charts(root / "curves" / f"{task}.csv"),
        "contact": _contact(root / "data" / "contact" / f"{task}.png"),
        "facts": _facts(provenance),
        "extractor": extractor.get("name", "unknown"),
        "random": extractor.get("origin") == RANDOM_ORIGIN,
        "preset": provenance.get("preset", "unknown"),
        "seed": provenance.get("seed", "unknown"),
        "n": provenance["n"],
        "samples": provenance["samples_per_input"],
        "warnings": provenance["warnings"],
    }


def render(root: Path, tasks: Sequence[str]) -> str:
    """The page over the tasks' results below `root`.

    The same inputs give the same bytes. Nothing in the page is fetched from anywhere.

    Raises:
        UserError: a file is missing or damaged.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(root, task) for task in tasks]
    return environment.get_template("page.html.j2").render(sections=sections) + "\n"


def overview(root: Path, tasks: Sequence[str], side: int = 128) -> bytes:
    """PNG for the README: per task a row of input, samples and target.

    Pictures are `side` pixels wide, or as much less as `OVERVIEW_BYTES` asks for.
    """
    rows = []
    for task in tasks:
        folder = root / "pictures" / task
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
