"""Record of the files of weights that a task's settings name, in `data/weights/TASK.json`.

DVC sees the settings, not what is in these files: its `train` and `evaluate` depend on this record,
which Git holds.
"""

import hashlib
import json
import os
from pathlib import Path

from chimle.bundles.task_models import start_address
from chimle.io.files import write_other_text
from chimle.io.hash_cache import sha256_of_unchanged
from chimle.settings.model_settings import ModelSettings

Record = dict[str, dict[str, str]]
"""SHA-256 of the file or folder that a setting names, by that name, for each such setting."""


def write_weights_record(settings: ModelSettings, root: Path) -> bool:
    """Bring the record of a task up to date.

    What is not on this machine keeps its entry: results may be restored where it is absent.

    Args:
        settings: of the task.
        root: the project.

    Returns:
        Whether the record was another one and any setting names a file.

    Raises:
        UserError: there is no such pretrained model.
    """
    path = root / "data" / "weights" / f"{settings.task}.json"
    train, weights = settings.train, settings.perceptual.weights_file
    places = {
        "perceptual": (weights, weights and root / weights),
        "start": (train.start, start_address(train.start, settings.task, root)),
    }
    before = _read(path)
    record: Record = {}
    for setting, (name, place) in places.items():
        record[setting] = {}
        if name and place:
            found = _sha256(place, root / "scratch") or before.get(setting, {}).get(name)
            record[setting] = {name: found} if found else {}
    changed = write_other_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return changed and any(record.values())


def _read(path: Path) -> Record:
    """The record; empty where it is missing or damaged."""
    try:
        found: Record = json.loads(path.read_text(encoding="utf-8"))
        return {setting: dict(entry) for setting, entry in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _sha256(path: Path, scratch: Path) -> str | None:
    """SHA-256 of a file, or over those in a folder, as a bundle is; None where there is neither."""
    if path.is_file():
        return sha256_of_unchanged(path, scratch)
    files = sorted(file for file in path.glob("*") if file.is_file())
    state = hashlib.sha256()
    for file in files:
        state.update(os.fsencode(file.name) + b"\0" + sha256_of_unchanged(file, scratch).encode())
    return state.hexdigest() if files else None
