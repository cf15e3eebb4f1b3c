"""Gather the runs on known modes: one table, one figure."""

from pathlib import Path

from chimle.baselines.figures import known_modes_figure
from chimle.baselines.known_modes.mode_problem import Layout
from chimle.baselines.tables import known_table
from chimle.errors import guarded
from chimle.io.files import write_bytes, write_text
from chimle.metrics.metric_table import as_json
from chimle.settings.comparison import load_comparison
from stages._command import read_result, root_parser


def main(root: Path) -> None:
    """Write `comparison/known_modes.json`, `.md` and `.png`."""
    settings, folder = load_comparison(root).known_modes, root / "comparison"
    found: dict[str, list[dict[str, dict[str, float]]]] = {}
    for name in settings.methods:
        for seed in settings.seeds:
            path = folder / "known_modes" / f"{name}-{seed}.json"
            command = f"python -m stages.known_modes {name} {seed}"
            found.setdefault(name, []).append(read_result(path, command, list(Layout)))
    numbers = {
        name: {
            layout: sum(run[layout]["covered"] for run in runs) / len(runs) for layout in runs[0]
        }
        for name, runs in found.items()
    }
    write_text(folder / "known_modes.json", as_json({"covered": numbers}))
    write_text(folder / "known_modes.md", known_table(found))
    write_bytes(folder / "known_modes.png", known_modes_figure(found))


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
