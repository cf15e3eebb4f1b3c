"""Reading the files that the evaluate stage writes; a bad file is one sentence."""

import json
import math
from pathlib import Path
from typing import Any

from chimle.errors import UserError


def read_json(path: Path) -> Any:
    """A JSON file of the evaluate stage; `UserError` where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.evaluate first") from None
    except ValueError:
        raise UserError(f"{path} is damaged: run stages.evaluate again") from None


def read_task_metrics(root: Path, task: str) -> dict[str, float]:
    """All metrics of a task: the headline file and the details."""
    folder = root / "metrics"
    headline = read_metrics(folder / f"{task}.json")
    return headline | read_metrics(folder / "details" / f"{task}.json")


def read_metrics(path: Path) -> dict[str, float]:
    """A metrics file; `UserError` names a value that is no finite number."""
    metrics = read_json(path)
    if not isinstance(metrics, dict) or not metrics:
        raise UserError(f"{path} must map metric names to numbers: run stages.evaluate again")
    for name, value in metrics.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise UserError(f"{path}: `{name}` is no finite number: run stages.evaluate again")
    return metrics


def read_provenance(path: Path) -> dict[str, Any]:
    """A provenance file; `UserError` names a field that is missing or of another type."""
    provenance = read_json(path)
    if not isinstance(provenance, dict):
        raise UserError(f"{path} must map names to values: run stages.evaluate again")
    fields = (("n", int), ("samples_per_input", int), ("warnings", list), ("extractor", dict))
    for field, type_ in fields:
        if not isinstance(provenance.get(field), type_):
            raise UserError(f"{path} lacks `{field}`: run stages.evaluate again")
    return provenance


def read_gallery(folder: Path) -> list[dict[str, Any]]:
    """Entries of a gallery: an id, and files for `input`, `target` and one or more `samples`.

    Where the input is smaller than the target, also for `enlarged`.
    """
    path = folder / "gallery.json"
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} lists no image: run stages.evaluate again")
    for number, entry in enumerate(entries):
        try:
            names = [entry["input"], entry["target"], *entry["samples"]]
            names += [entry["enlarged"]] if "enlarged" in entry else []
            # A name with folders could include any file of the machine in the page.
            valid = all(Path(name).name == name for name in names) and isinstance(entry["id"], str)
        except (KeyError, TypeError):
            valid = False
        if not valid or not entry["samples"]:
            raise UserError(f"{path}: entry {number} is damaged: run stages.evaluate again")
    return entries
