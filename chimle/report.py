"""The report: one HTML page with everything inside, and one picture for the README."""

import base64
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from chimle.errors import UserError
from chimle.images.decode import png_bytes, read_rgb
from chimle.metrics.evaluate import DO_NOTHING
from chimle.pictures import contact_sheet
from chimle.tasks import get_task

OVERVIEW_SAMPLES = 5
"""Samples per task in the overview picture."""

_EXPLANATIONS: tuple[tuple[str, str, bool | None], ...] = (
    ("lpips_{}_best_of", "perceptual distance of the nearest sample to the target", False),
    ("diversity_lpips", "mean perceptual distance between samples of one input", True),
    ("lpips", "perceptual distance to the target, mean over samples", False),
    ("frechet", "distance of the sets' feature Gaussians (not an FID)", False),
    ("fid", "Frechet distance over Inception features", False),
    ("kernel", "kernel distance of the sets' features (not a KID)", False),
    ("kid", "kernel distance over Inception features", False),
    ("precision", "share of samples that look like targets", True),
    ("recall", "share of targets that some sample looks like", True),
    ("psnr", "pixel agreement with the target, dB", True),
    ("consistency_lightness_error", "lightness off the input's, of 100", False),
    ("consistency", "agreement with the input after degrading again, dB", True),
)
"""Start of a metric's name, what it says, whether higher is better. The first match counts."""


@dataclass(frozen=True)
class MetricRow:
    """A line of a metrics table."""

    name: str
    meaning: str
    higher_is_better: bool | None
    value: float
    nothing: float | None

    @property
    def verdict(self) -> str:
        """`better`, `worse` or nothing to compare with."""
        if self.nothing is None or self.higher_is_better is None or self.value == self.nothing:
            return ""
        return "better" if (self.value > self.nothing) is self.higher_is_better else "worse"


def metric_rows(metrics: dict[str, float]) -> list[MetricRow]:
    """Table rows: each metric of the model beside the same of doing nothing."""
    rows = []
    for name, value in metrics.items():
        if name.startswith(DO_NOTHING):
            continue
        meaning, higher = explain(name)
        rows.append(MetricRow(name, meaning, higher, value, metrics.get(DO_NOTHING + name)))
    return rows


def explain(name: str) -> tuple[str, bool | None]:
    """What a metric says, and whether higher is better."""
    if name.startswith("lpips") and "_best_of_" in name:
        return _EXPLANATIONS[0][1:]
    for start, meaning, higher in _EXPLANATIONS[1:]:
        if name.startswith(start):
            return meaning, higher
    return "", None


def read_json(path: Path) -> Any:
    """A JSON file; `UserError` where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.evaluate first") from None
    except ValueError:
        raise UserError(f"{path} is damaged: run stages.evaluate again") from None


def _data_uri(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path} does not exist: run stages.evaluate again")
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _gallery(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "id": entry["id"],
            "input": _data_uri(folder / entry["input"]),
            "target": _data_uri(folder / entry["target"]),
            "samples": [_data_uri(folder / name) for name in entry["samples"]],
        }
        for entry in read_json(folder / "gallery.json")
    ]


def _curve(path: Path, width: int = 640, height: int = 180) -> dict[str, Any]:
    """Polylines of the loss per level over steps, for an inline SVG."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.train first") from None
    names = [name for name in (rows[0] if rows else {}) if name.startswith("loss_level_")]
    top = max((float(row[name]) for row in rows for name in names), default=1.0) or 1.0
    last = max((float(row["step"]) for row in rows), default=1.0)
    lines = []
    for name in names:
        points = (
            f"{float(row['step']) / last * width:.1f},{height - float(row[name]) / top * height:.1f}"
            for row in rows
        )
        lines.append({"name": name.replace("loss_level_", "level "), "points": " ".join(points)})
    return {
        "width": width,
        "height": height,
        "lines": lines,
        "top": f"{top:.3g}",
        "last": int(last),
    }


def _section(root: Path, task: str) -> dict[str, Any]:
    provenance = read_json(root / "metrics" / f"{task}.provenance.json")
    return {
        "name": task,
        "title": get_task(task).title,
        "gallery": _gallery(root / "pictures" / task),
        "rows": metric_rows(read_json(root / "metrics" / f"{task}.json")),
        "curve": _curve(root / "curves" / f"{task}.csv"),
        "provenance": json.dumps(provenance, indent=1, sort_keys=True),
        "n": provenance["n"],
        "samples": provenance["samples_per_input"],
        "warnings": provenance["warnings"],
    }


def render(root: Path, tasks: list[str]) -> str:
    """The page over the tasks' results below `root`; `UserError` names what is missing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(root, task) for task in tasks]
    return environment.get_template("report.html.j2").render(sections=sections)


def overview(root: Path, tasks: list[str], side: int = 96) -> bytes:
    """PNG for the README: per task a row of input, samples and target."""
    rows = []
    for task in tasks:
        folder = root / "pictures" / task
        entries = read_json(folder / "gallery.json")
        entry = entries[len(entries) // 2]
        names = [entry["input"], *entry["samples"][:OVERVIEW_SAMPLES], entry["target"]]
        rows.append([read_rgb(folder / name) for name in names])
    return png_bytes(contact_sheet(rows, side))
