"""Line charts of the report, as SVG coordinates: training curves and best of k samples."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chimle.errors import UserError

_CURVES = (("loss_level_", "Training loss"), ("search_distance_level_", "Distance after search"))
_BEST_OF_COLUMNS = ("lpips", "low", "high")


@dataclass(frozen=True)
class Line:
    """One curve of a chart: its name, `x,y x,y ..` for an SVG polyline, and its last point."""

    name: str
    points: str
    end: tuple[str, str]


@dataclass(frozen=True)
class Chart:
    """A line chart in SVG units; ticks are (position, label)."""

    title: str
    width: int
    height: int
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[str, str], ...]
    y_ticks: tuple[tuple[str, str], ...]


def ticks(top: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to the first at or above `top`, in about `count` equal steps."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= raw * (1 - 1e-9))
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def line_chart(
    title: str,
    steps: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    width: int = 420,
    height: int = 170,
) -> Chart:
    """Scale curves of values >= 0 over `steps` into `width` x `height`; the axis starts at 0."""
    last = max(steps, default=0.0) or 1.0
    y_values = ticks(max((max(values, default=0.0) for values in curves.values()), default=0.0))
    lines = []
    for name, values in curves.items():
        points = [
            (f"{x / last * width:.1f}", f"{height * (1 - max(y, 0.0) / y_values[-1]):.1f}")
            for x, y in zip(steps, values, strict=True)
        ]
        if points:
            lines.append(Line(name, " ".join(f"{x},{y}" for x, y in points), points[-1]))
    return Chart(
        title,
        width,
        height,
        tuple(lines),
        tuple((f"{x / last * width:.1f}", f"{x:g}") for x in ticks(last) if x <= last),
        tuple((f"{height * (1 - y / y_values[-1]):.1f}", f"{y:.4g}") for y in y_values),
    )


def _columns(path: Path, key: str, stage: str) -> dict[str, list[float]]:
    """A table of finite numbers by column; `UserError` names the stage to run again."""
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


def training_charts(path: Path) -> list[Chart]:
    """Charts of a training run: loss and distance after search, a line per level."""
    columns = _columns(path, "step", "stages.train")
    charts = []
    for start, title in _CURVES:
        curves = {f"level {n[len(start) :]}": v for n, v in columns.items() if n.startswith(start)}
        if curves:
            charts.append(line_chart(title, columns["step"], curves))
    return charts


def best_of_chart(path: Path) -> Chart:
    """Chart of the distance of the best of k samples, with the ends of its interval.

    Raises:
        UserError: a column is missing, or a value is no finite number.
    """
    columns = _columns(path, "k", "stages.evaluate")
    if missing := [name for name in _BEST_OF_COLUMNS if name not in columns]:
        raise UserError(f"{path} has no column `{missing[0]}`: run stages.evaluate again")
    names = ("best of k", "interval, low end", "high end")
    curves = {name: columns[column] for name, column in zip(names, _BEST_OF_COLUMNS, strict=True)}
    return line_chart("Distance of the best of k samples", columns["k"], curves)
