"""Gather the runs on known modes: one table, one figure."""

import json
from pathlib import Path

from chimle.baselines.figures import known_modes_figure
from chimle.baselines.tables import known_table
from chimle.errors import UserError, guarded
from chimle.files import write_bytes, write_text
from chimle.metrics.table import as_json
from chimle.settings.comparison import load_comparison
from stages._command import root_parser


def main(root: Path) -> None:
    """Write `comparison/known_modes.json`, `.md` and `.png`."""
    settings, folder = load_comparison(root).known_modes, root / "comparison"
    found: dict[str, list[dict[str, dict[str, float]]]] = {}
    for name in settings.methods:
        for seed in settings.seeds:
            path = folder / "known_modes" / f"{name}-{seed}.json"
            if not path.is_file():
                raise UserError(
                    f"{path} does not exist: run `python -m stages.known_modes {name} {seed}`"
                )
            found.setdefault(name, []).append(json.loads(path.read_text()))
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
