"""Gather the comparison's runs: one table, one plot, and a picture grid per task."""

from pathlib import Path

import numpy as np

from chimle.baselines.figures import fidelity_and_diversity, grid
from chimle.baselines.statistics import Run
from chimle.baselines.tables import numbers, ordered, page, task_runs
from chimle.errors import guarded
from chimle.images.decode import read_rgb, write_png
from chimle.io.files import replaced_folder, write_bytes, write_text
from chimle.metrics.metric_table import as_json
from chimle.settings.comparison import ContestSettings, load_comparison
from stages._command import read_result, root_parser


def read_runs(root: Path, settings: ContestSettings) -> list[Run]:
    """What the chosen tasks, methods and seeds came to; `UserError` where one was not run."""
    runs = []
    for task in settings.tasks:
        for name in settings.methods:
            for seed in settings.seeds:
                path = root / "comparison" / "runs" / f"{task}-{name}-{seed}" / "scores.json"
                command = f"python -m stages.contest {task} {name} {seed}"
                runs.append(read_result(path, command))
    return runs


def _pictures(folder: Path, pattern: str) -> list[np.ndarray]:
    return [read_rgb(path) for path in sorted(folder.glob(pattern))]


def task_grid(root: Path, task: str, runs: list[Run]) -> np.ndarray:
    """The picture grid of a task, of each method's first seed."""
    folders = {
        name: root / "comparison" / "runs" / f"{task}-{name}-{min(r['seed'] for r in runs)}"
        for name in ordered(runs)
    }
    first = next(iter(folders.values()))
    count = len(list(first.glob("*_input.png")))
    answers = {
        name: [_pictures(folder, f"{number}_answer_*.png") for number in range(count)]
        for name, folder in folders.items()
    }
    return grid(_pictures(first, "*_input.png"), _pictures(first, "*_target.png"), answers)


def main(root: Path) -> None:
    """Write `comparison/results`."""
    runs = read_runs(root, load_comparison(root).contest)
    with replaced_folder(root / "comparison" / "results") as folder:
        write_text(folder / "comparison.md", page(runs))
        write_bytes(folder / "fidelity-diversity.png", fidelity_and_diversity(runs))
        for task, own in task_runs(runs).items():
            write_png(folder / f"{task}.png", task_grid(root, task, own))
        write_text(folder / "comparison.json", as_json(numbers(runs)))


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
