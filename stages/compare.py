"""Aggregate the comparison's runs: a table, a plot, and an image grid per task."""

from pathlib import Path

import numpy as np

from chimle.baselines.figures import fidelity_and_diversity, grid
from chimle.baselines.statistics import RUN_FIELDS, Run
from chimle.baselines.tables import numbers, ordered, page, task_runs
from chimle.errors import guarded
from chimle.images.decode import read_rgb, write_png
from chimle.io.files import replaced_folder, write_bytes, write_text
from chimle.metrics.metric_table import as_json
from chimle.settings.comparison import RunMethodSettings, load_comparison
from stages._command import read_result, root_parser


def read_runs(root: Path, settings: RunMethodSettings) -> list[Run]:
    """Records of all configured runs; `UserError` names the first that is missing or damaged."""
    runs = []
    for task in settings.tasks:
        for name in settings.methods:
            for seed in settings.seeds:
                path = root / "comparison" / "runs" / f"{task}-{name}-{seed}" / "scores.json"
                command = f"python -m stages.run_method {task} {name} {seed}"
                runs.append(read_result(path, command, RUN_FIELDS))
    return runs


def task_grid(root: Path, task: str, runs: list[Run]) -> np.ndarray:
    """Image grid of a task, from each method's first seed."""
    folders = {
        name: root / "comparison" / "runs" / f"{task}-{name}-{min(r['seed'] for r in runs)}"
        for name in ordered(runs)
    }
    first = next(iter(folders.values()))
    numbers = range(len(list(first.glob("*_input.png"))))
    inputs, targets = (
        [read_rgb(first / f"{number}_{kind}.png") for number in numbers]
        for kind in ("input", "target")
    )
    samples = {
        name: [
            [read_rgb(path) for path in sorted(folder.glob(f"{number}_sample_*.png"))]
            for number in numbers
        ]
        for name, folder in folders.items()
    }
    return grid(inputs, targets, samples)


def main(root: Path) -> None:
    """Write `comparison/results`."""
    runs = read_runs(root, load_comparison(root).run_method)
    with replaced_folder(root / "comparison" / "results") as folder:
        write_text(folder / "comparison.md", page(runs))
        write_bytes(folder / "fidelity-diversity.png", fidelity_and_diversity(runs))
        for task, own in task_runs(runs).items():
            write_png(folder / f"{task}.png", task_grid(root, task, own))
        write_text(folder / "comparison.json", as_json(numbers(runs)))


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
