"""Train one method with one seed on the problem whose targets are known, and count the modes."""

import json
import shutil
from pathlib import Path

from chimle.baselines.known_modes.mode_comparison import run_on_known_modes
from chimle.baselines.known_modes.mode_problem import Layout
from chimle.baselines.methods import get_method
from chimle.device import prepare_process
from chimle.errors import guarded
from chimle.io.files import write_text
from chimle.provenance import code_version, digest
from chimle.settings.comparison import load_comparison
from chimle.training.run_lock import LOCK, run_lock
from stages._command import root_parser


def main(name: str, seed: int, root: Path) -> None:
    """Write `comparison/known_modes/METHOD-SEED.json`."""
    prepare_process()
    method, settings = get_method(name), load_comparison(root).known_modes
    key = digest([name, seed, code_version(Path(__file__)), settings.model_dump(mode="json")])[:16]
    scratch = root / "scratch" / "known_modes" / key
    with run_lock(scratch / LOCK, f"known modes {name} {seed}"):
        states = {layout: scratch / f"{layout}.pt" for layout in Layout}
        found = {
            str(layout): run_on_known_modes(method, seed, layout, settings, state)
            for layout, state in states.items()
        }
        path = root / "comparison" / "known_modes" / f"{name}-{seed}.json"
        write_text(path, json.dumps(found, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    parser = root_parser(__doc__)
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("seed", metavar="SEED", type=int)
    arguments = parser.parse_args()
    guarded(lambda: main(arguments.method, arguments.seed, arguments.root))
