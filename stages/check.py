"""Look what lies at one task's source now: `data/sources/TASK.json` changes when the source does.

DVC runs this stage always. It fetches nothing, and fails if what was recorded has changed; with
`--accept` that is forgotten first, and what lies there now is taken instead.
"""

import json
from pathlib import Path

from chimle.data.fetch.catalogue import resolve
from chimle.data.fetch.sources import open_source
from chimle.data.fetch.sources.protocol import Workspace
from chimle.errors import guarded
from chimle.io.files import write_text
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from stages._command import task_parser


def main(settings: RunSettings, root: Path, accept: bool = False) -> None:
    """Write what tells versions of the source of `settings.task` apart."""
    stands_for = resolve(settings.source, root)
    source = open_source(stands_for, Workspace(root, root / "scratch"))
    if accept:
        source.forget()
    content = {"kind": stands_for.kind, "now": source.fingerprint()}
    if stands_for is not settings.source:
        # What a name of the catalogue stands for may change, too; parameters do not tell.
        content["stands_for"] = stands_for.model_dump(mode="json")
    path = root / "data" / "sources" / f"{settings.task}.json"
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def command() -> None:
    """The command line `python -m stages.check TASK [--accept] [--root DIR]`."""
    parser = task_parser(__doc__)
    parser.add_argument("--accept", action="store_true", help="take what lies there now")
    given = parser.parse_args()
    guarded(
        lambda: main(load_settings(RunSettings, given.task, given.root), given.root, given.accept)
    )


if __name__ == "__main__":
    command()
