"""What is in a bundle or in a folder of pairs, as plain values."""

from collections import Counter
from pathlib import Path
from typing import Any

from chimle.data.dataset import read_manifest
from chimle.errors import UserError
from chimle.model_bundle import DESCRIPTION, load_bundle


def describe_bundle(folder: Path) -> dict[str, Any]:
    """Task, sizes, budget and origin of a model bundle."""
    bundle = load_bundle(folder)
    settings, origin = bundle.settings, bundle.provenance
    tower = settings.tower
    return {
        "what": "model bundle",
        "task": settings.task,
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
        **{key: origin[key] for key in ("extractor", "seed", "commit") if key in origin},
    }


def describe_pairs(folder: Path) -> dict[str, Any]:
    """Task, sizes and splits of a folder of pairs."""
    manifest = read_manifest(folder)
    pairs = manifest["pairs"]
    return {
        "what": "pairs",
        "task": manifest["task"],
        "target_side": manifest["size"],
        "pairs": len(pairs),
        **dict(sorted(Counter(f"pairs_{pair['split']}" for pair in pairs).items())),
        "sources": len({pair["source"]["sha256"] for pair in pairs}),
        "degradations": sorted({pair["degradation"]["kind"] for pair in pairs}),
    }


def describe(path: Path) -> dict[str, Any]:
    """What `path` holds.

    Raises:
        UserError: neither a bundle nor pairs, or damaged.
    """
    if (path / DESCRIPTION).exists():
        return describe_bundle(path)
    if (path / "manifest.json").exists():
        return describe_pairs(path)
    raise UserError(f"{path} is neither a model bundle nor a folder of pairs")
