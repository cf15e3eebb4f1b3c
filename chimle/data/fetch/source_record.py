"""Record of a source: what tells its versions apart, in `data/sources/TASK.json`.

DVC's `fetch` depends on this file, which Git holds: a source is fetched again once its record is
another one.
"""

import json
from pathlib import Path
from typing import Any

from chimle.data.fetch.catalogue import resolve
from chimle.data.fetch.sources import open_source
from chimle.data.fetch.sources.protocol import Workspace
from chimle.io.files import write_other_text
from chimle.settings.source import FetchStageSettings


def source_record(settings: FetchStageSettings, root: Path, accept: bool = False) -> dict[str, Any]:
    """What tells the present version of a task's source apart.

    Args:
        settings: of the task.
        root: the project.
        accept: forget the recorded checksums of its files first.

    Raises:
        UserError: the source is gone, or is not what its checksums say.
    """
    source = resolve(settings.source, root)
    opened = open_source(source, Workspace(root, root / "scratch"))
    if accept:
        opened.forget()
    record = {"kind": source.kind, "now": opened.fingerprint()}
    if source is not settings.source:
        # The catalogue's entry may change, too, while the parameters stay.
        record["stands_for"] = source.model_dump(mode="json")
    return record


def write_record(root: Path, task: str, record: dict[str, Any]) -> bool:
    """Write a task's record where it is another one; returns whether it was."""
    path = root / "data" / "sources" / f"{task}.json"
    return write_other_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")
