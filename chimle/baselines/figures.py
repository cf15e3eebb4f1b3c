"""Figures of the comparison: scatter plot, bars, image grid."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chimle.baselines.methods import CHIMLE, METHODS, get_method
from chimle.baselines.statistics import Run, change
from chimle.baselines.tables import ordered, task_runs
from chimle.images.contact_sheet import contact_sheet

_COLOURS = (
    "#2a6f97",
    "#e07a5f",
    "#6d6875",
    "#81b29a",
    "#b5838d",
    "#f2cc8f",
    "#a3b18a",
    "#9a8c98",
    "#c44536",
)
"""Colours of the other methods, in their order."""
_FIRST = "#111111"
"""Colour of CHIMLE."""


def _colour(name: str) -> str:
    others = [other for other in METHODS if other != CHIMLE]
    return _FIRST if name == CHIMLE else _COLOURS[others.index(name)]


def _axes(columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """An off-screen figure with a row of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _fidelity(names: Sequence[str]) -> str:
    """The metric of the horizontal axis: FID, else a Frechet distance, else LPIPS."""
    for beginning in ("fid", "frechet_", "lpips_"):
        if found := [name for name in sorted(names) if name.startswith(beginning)]:
            return found[0]
    raise ValueError("the runs have no metric of fidelity")


def fidelity_and_diversity(runs: Sequence[Run]) -> bytes:
    """Scatter plot as PNG, an axis per task: fidelity against diversity; upper left is best."""
    tasks = task_runs(runs)
    figure, axes = _axes(len(tasks), 5.2, 4.2)
    for one, (task, own) in zip(axes, tasks.items(), strict=True):
        names = sorted(own[0]["values"])
        fidelity = _fidelity(names)
        diversity = next(name for name in names if name.startswith("diversity_lpips_"))
        for name in ordered(own):
            x = change(own, task, name, fidelity).value
            y = change(own, task, name, diversity).value
            one.scatter([x], [y], color=_colour(name), s=44, zorder=3)
            one.annotate(
                get_method(name).title, (x, y), (5, 4), textcoords="offset points", fontsize=8
            )
        one.set(
            title=task, xlabel=f"{fidelity} (lower is better)", ylabel=f"{diversity} (pairwise)"
        )
        one.grid(color="#e5e5e5", zorder=0)
    return _png(figure)


def known_modes_figure(found: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> bytes:
    """Bar chart as PNG: modes covered per layout and method; a dot per seed."""
    names = [name for name in METHODS if name in found]
    layouts = list(found[names[0]][0])
    figure, axes = _axes(len(layouts), 3.4, 3.0)
    for one, layout in zip(axes, layouts, strict=True):
        modes = found[names[0]][0][layout]["modes"]
        for place, name in enumerate(names):
            covered = [run[layout]["covered"] for run in found[name]]
            one.bar(place, np.mean(covered), color=_colour(name), width=0.7, zorder=2)
            one.scatter([place] * len(covered), covered, color="#999999", s=12, zorder=3)
        one.set_title(f"{modes:.0f} modes: {layout}", fontsize=10)
        one.set_ylim(0, 1.05)
        titles = [get_method(name).title for name in names]
        one.set_xticks(range(len(names)), titles, rotation=35, ha="right", fontsize=8)
    axes[0].set_ylabel("modes covered")
    return _png(figure)


def grid(
    inputs: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    samples: Mapping[str, Sequence[Sequence[np.ndarray]]],
) -> np.ndarray:
    """Image grid: inputs and targets, then two samples of every method: (H, W, 3) uint8.

    Args:
        inputs: of the shown test pairs.
        targets: theirs.
        samples: per method and test pair, images.
    """
    first = [image for pair in zip(inputs, targets, strict=True) for image in pair]
    rows = [first, *([p for own in each for p in own[:2]] for each in samples.values())]
    titles = ["inputs and targets", *(get_method(name).title for name in samples)]
    return contact_sheet(rows, side=96, titles=titles)
