"""Contents of a bundle, a folder of pairs, a manifest or a checkpoint: as values and an image."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chimle.bundles.addresses import is_remote, open_bundle
from chimle.bundles.bundle import DESCRIPTION, METRICS, Bundle, read_member
from chimle.bundles.published_checkpoints import draws_chroma, infer_settings, read_checkpoint
from chimle.bundles.task_models import named_model
from chimle.cli.output_folder import folder_read
from chimle.data.dataset import PairIndex, read_manifest
from chimle.data.manifests import PAIRS, SOURCE, read_header, read_records
from chimle.data.pair.summary import pair_counts
from chimle.errors import UserError
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import write_png
from chimle.settings.tower import MOST_LEVELS
from chimle.tasks import TASKS, Wiring

CHECKPOINTS = frozenset({".pth", ".pt", ".tar", ".ckpt"})
"""File name suffixes of checkpoints."""
_PAIRS_SHOWN = 8
_SAMPLES_SHOWN = 4
_ORIGINS_SHOWN = 5


def _describe_bundle(bundle: Bundle) -> dict[str, Any]:
    settings, provenance = bundle.settings, bundle.provenance
    tower = settings.tower
    known = (
        "extractor",
        "seed",
        "commit",
        "pairs_sha256",
        "start_sha256",
        "imported_from",
        "imported_sha256",
    )
    return {
        "what": "model bundle",
        "task": settings.task,
        "license": bundle.license,
        "preset": settings.preset,
        "levels": tower.levels,
        "resolution": tower.resolution,
        "widths": list(tower.widths),
        "growth": list(tower.growth),
        "blocks": tower.blocks,
        "parameters": sum(parameter.numel() for parameter in bundle.tower.parameters()),
        "rounds": settings.train.rounds,
        "steps_per_round": settings.train.steps_per_round,
        "candidates": list(settings.search.candidates),
        "start": settings.train.start,
        **{key: provenance[key] for key in known if key in provenance},
    }


def _packed_metrics(path: Path) -> dict[str, Any]:
    """Metrics of a packed bundle; empty where it has none."""
    try:
        content = json.loads(read_member(path, METRICS, 2**20))
        return {"metrics": dict(content["metrics"])}
    except (UserError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _describe_pairs(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    files, degradations = set[str](), set[str]()
    for pair in read_records(folder, PAIRS):
        files.add(pair["source"]["sha256"])
        degradations.add(pair["degradation"]["kind"])
    return {
        "what": "pairs",
        "task": manifest["task"],
        "target_side": manifest["size"],
        "pairs": sum(manifest["counts"].values()),
        **pair_counts(manifest),
        "sources": len(files),
        "degradations": sorted(degradations),
    }


def _describe_source(folder: Path) -> dict[str, Any]:
    header = read_header(folder, SOURCE)
    count, size, least, most = 0, 0, 2**63, 0
    origins: set[str] = set()
    for record in read_records(folder, SOURCE):
        count, size = count + 1, size + record["bytes"]
        shorter = min(record["width"], record["height"])
        least, most = min(least, shorter), max(most, shorter)
        # The files of a folder have no version, only a path each.
        if len(origins) <= _ORIGINS_SHOWN and ("version" in record or header["kind"] != "folder"):
            origins.add(record.get("version") or record["source"])
    shown = sorted(origins)[:_ORIGINS_SHOWN]
    found = {
        "what": "fetched images",
        "kind": header["kind"],
        "files": count,
        "megabytes": round(size / 1e6, 1),
        "shorter_sides": [least, most],
    }
    if shown:
        found["versions"] = [*shown, "..."] if len(origins) > _ORIGINS_SHOWN else shown
    if header["skipped"]:
        found["skipped"] = len(header["skipped"])
    return found


def _describe_data(folder: Path) -> dict[str, Any]:
    """Fetched files and pairs per task."""
    lines: dict[str, Any] = {"what": "data"}
    for task in TASKS:
        raw, pairs = folder / "raw" / task, folder / "pairs" / task
        parts = []
        if (raw / SOURCE).is_file():
            found = _describe_source(raw)
            parts.append(f"{found['files']:,} files, {found['megabytes']} MB ({found['kind']})")
        if (pairs / PAIRS).is_file():
            counts = read_manifest(pairs)["counts"]
            parts.append(", ".join(f"{count:,} {split}" for split, count in counts.items()))
        lines[task] = "; pairs: ".join(parts) if parts else "none"
    return lines


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    state = read_checkpoint(path)
    grey = draws_chroma(state)
    wirings = (Wiring.COLOURIZATION,) if grey else (Wiring.GENERIC, Wiring.SUPER_RESOLUTION)
    tasks = [task.name for task in TASKS.values() if task.wiring in wirings]
    tower = infer_settings(state, tasks[-1], 2**MOST_LEVELS).tower  # Any levels divide it.
    return {
        "what": "published checkpoint",
        "may_be_for": tasks,
        "levels": tower.levels,
        "widths": list(tower.widths),
        "growth": list(tower.growth),
        "blocks": tower.blocks,
        "style_size": tower.style_size,
        "noise_channels": tower.noise_channels,
        "mapping_width": tower.mapping_width,
        "mapping_depth": tower.mapping_depth,
        "parameters": sum(tensor.numel() for tensor in state.values()),
        "next": f"chimle import {path} --task {tasks[-1]} -o BUNDLE",
    }


def _named(address: str | Path) -> str:
    """The address of a task's model, or of the folder that a file says the contents of."""
    named = named_model(str(address))
    return named if is_remote(named) else str(folder_read(named))


def _is_bundle(address: str) -> bool:
    path = Path(address)
    return is_remote(address) or path.suffix == ".zip" or (path / DESCRIPTION).exists()


def describe(address: str | Path) -> dict[str, Any]:
    """Plain values about what an address holds.

    Args:
        address: of a bundle, or its task's name; or a folder of pairs, a fetched source, the file
            that says what one of these holds, a project's folder `data`, or a checkpoint.

    Raises:
        UserError: the address holds none of these, or it is damaged.
    """
    address = _named(address)
    path = Path(address)
    if _is_bundle(address):
        metrics = {} if is_remote(address) else _packed_metrics(path)
        return {**_describe_bundle(open_bundle(address)), **metrics}
    if (path / PAIRS).is_file():
        return _describe_pairs(path)
    if (path / SOURCE).is_file():
        return _describe_source(path)
    if (path / "pairs").is_dir() or (path / "raw").is_dir():
        return _describe_data(path)
    if path.suffix.lower() in CHECKPOINTS:
        return _describe_checkpoint(path)
    if not path.exists():
        raise UserError(f"{path} does not exist")
    raise UserError(f"{path} is neither a model bundle, nor pairs, nor a source, nor a checkpoint")


def _sample_rows(address: str) -> list[list[np.ndarray]]:
    """Input, samples and target of a photograph that scikit-image ships."""
    from skimage import data

    from chimle.inference.load_model import load
    from chimle.inference.sample_names import mixture_of, plain

    model = load(address)
    side = 256
    photograph: Callable[[], np.ndarray] = data.chelsea
    cat = photograph()[22 : 22 + side, 100 : 100 + side]
    given, codes = model.degraded(cat), map(mixture_of, plain(_SAMPLES_SHOWN, model.levels))
    return [[given, *model.draw(given, list(codes), code=model.degraded_code()), cat]]


def draw(address: str | Path, out: Path) -> None:
    """Write a contact sheet: samples of a bundle, or pairs.

    Raises:
        UserError: the address, which may be a task's name, holds neither.
    """
    address = _named(address)
    if _is_bundle(address):
        rows = _sample_rows(address)
        names = ["input", *(f"sample {i}" for i in range(_SAMPLES_SHOWN)), "target"]
    elif (Path(address) / PAIRS).is_file():
        pairs = PairIndex(Path(address), "train")[:_PAIRS_SHOWN]
        rows, names = [[pair.input, pair.target] for pair in pairs], ["input", "target"]
    else:
        is_checkpoint = Path(address).suffix.lower() in CHECKPOINTS
        advice = "import it first" if is_checkpoint else "name a folder of pairs or a model bundle"
        raise UserError(f"{address} has no images to draw: {advice}")
    write_png(out, contact_sheet(rows, 128, names))
