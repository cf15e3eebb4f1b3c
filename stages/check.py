"""Look what lies at one task's source now: `data/sources/TASK.json` changes when the source does.

DVC runs this stage always. It fetches nothing, and fails if what was recorded has changed.
"""

import json
from pathlib import Path

from chimle.data.catalogue import resolve
from chimle.data.sources import open_source
from chimle.data.sources.base import Place
from chimle.files import write_text
from chimle.settings import RunSettings
from stages._command import run_stage


def main(settings: RunSettings, root: Path) -> None:
    """Write what tells versions of the source of `settings.task` apart."""
    source = resolve(settings.source, root)
    now = open_source(source, Place(root, root / "scratch")).now()
    # Of a data set of the catalogue, what its name stands for may change, too.
    content = {"source": source.model_dump(mode="json"), "now": now}
    path = root / "data" / "sources" / f"{settings.task}.json"
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    run_stage(main, __doc__)
