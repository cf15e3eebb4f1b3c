"""The report: one HTML page with everything inside, and one picture for the README."""

import base64
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from chimle.errors import UserError
from chimle.images.decode import png_bytes, read_rgb
from chimle.metrics.evaluate import DO_NOTHING
from chimle.pictures import Chart, chart, contact_sheet
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
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Kind:
    """What a metric whose name begins with `start` and contains `within` says."""

    start: str
    group: str
    meaning: str
    higher_is_better: bool
    within: str = ""


NEAR, VARIED, AGREES, SETS = (
    "Near the target",
    "Varied",
    "True to the input",
    "As a set, beside the set of targets",
)
_KINDS = (
    Kind("lpips_", NEAR, "perceptual distance of the nearest sample", False, "_best_of_"),
    Kind("lpips_", NEAR, "perceptual distance, mean over samples", False),
    Kind("psnr", NEAR, "pixel agreement in dB, mean over samples", True),
    Kind("diversity_lpips_", VARIED, "perceptual distance between samples of one input", True),
    Kind("consistency_lightness_error", AGREES, "lightness off the input's, of 100", False),
    Kind("consistency_", AGREES, "agreement with the input once degraded again, dB", True),
    Kind("fid", SETS, "Frechet distance over Inception features", False),
    Kind("kid", SETS, "kernel distance over Inception features", False),
    Kind("frechet_", SETS, "distance of the features' Gaussians (not an FID)", False),
    Kind("kernel_", SETS, "kernel distance of the features (not a KID)", False),
    Kind("precision_", SETS, "share of samples that look like targets", True),
    Kind("recall_", SETS, "share of targets that a sample looks like", True),
)
"""The first match counts; also the order of a table."""
OTHER = Kind("", "Other", "", True)


@dataclass(frozen=True)
class MetricRow:
    """A line of a metrics table."""

    name: str
    group: str
    meaning: str
    higher_is_better: bool | None
    value: float
    nothing: float | None

    @property
    def of_sets(self) -> bool:
        """Whether the number compares sets of N pictures."""
        return self.group == SETS

    @property
    def verdict(self) -> str:
        """`better`, `worse` or nothing to compare with."""
        if self.nothing is None or self.higher_is_better is None or self.value == self.nothing:
            return ""
        return "better" if (self.value > self.nothing) is self.higher_is_better else "worse"


def _kind(name: str) -> Kind:
    matches = (k for k in _KINDS if name.startswith(k.start) and k.within in name)
    return next(matches, OTHER)


def metric_rows(metrics: dict[str, float]) -> list[MetricRow]:
    """Table rows by group: each metric of the model beside the same of doing nothing."""
    order = {kind: place for place, kind in enumerate((*_KINDS, OTHER))}
    rows = []
    for name in sorted(metrics, key=lambda name: (order[_kind(name)], name)):
        if name.startswith(DO_NOTHING):
            continue
        kind = _kind(name)
        better = None if kind is OTHER else kind.higher_is_better
        nothing = metrics.get(DO_NOTHING + name)
        rows.append(MetricRow(name, kind.group, kind.meaning, better, metrics[name], nothing))
    return rows


def read_json(path: Path) -> Any:
    """A JSON file of the evaluate stage; `UserError` where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.evaluate first") from None
    except ValueError:
        raise UserError(f"{path} is damaged: run stages.evaluate again") from None


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


def charts(path: Path) -> list[Chart]:
    """Charts of a training curve: loss and searched distance, a line per level."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.train first") from None
    except (csv.Error, UnicodeDecodeError):
        raise UserError(f"{path} is damaged: run stages.train again") from None
    columns: dict[str, list[float]] = {}
    for number, row in enumerate(rows, start=2):
        for name, text in row.items():
            try:
                value = float(text)
            except (TypeError, ValueError):
                value = math.nan
            if not math.isfinite(value):
                raise UserError(
                    f"{path}: line {number}: `{name}` is no finite number: run stages.train again"
                )
            columns.setdefault(name, []).append(value)
    if columns and "step" not in columns:
        raise UserError(f"{path} has no column `step`: run stages.train again")
    found = []
    for start, title in _CURVES:
        curves = {f"level {n[len(start) :]}": v for n, v in columns.items() if n.startswith(start)}
        if curves:
            found.append(chart(title, columns["step"], curves))
    return found


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


def _section(root: Path, task: str) -> dict[str, Any]:
    provenance = read_provenance(root / "metrics" / f"{task}.provenance.json")
    rows = metric_rows(read_metrics(root / "metrics" / f"{task}.json"))
    groups = list(dict.fromkeys(row.group for row in rows))
    extractor = provenance["extractor"]
    return {
        "name": task,
        "title": get_task(task).title,
        "gallery": _gallery(root / "pictures" / task),
        "groups": [(group, [row for row in rows if row.group == group]) for group in groups],
        "headline": [r for r in rows if r.name.startswith("lpips_") and r.nothing is not None],
        "charts": charts(root / "curves" / f"{task}.csv"),
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
    return environment.get_template("report.html.j2").render(sections=sections) + "\n"


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
