"""Pairs, decoded once and kept in memory."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chimle.data.pairing import FORMAT
from chimle.errors import UserError
from chimle.images.decode import read_rgb


@dataclass(frozen=True)
class Pair:
    """An input (h, w, 3) and the one target (H, W, 3) observed for it, uint8."""

    id: str
    input: np.ndarray
    target: np.ndarray


def image_key(id_: str) -> int:
    """A stable 63-bit number for an image, which names its codes."""
    return int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big") >> 1


def read_manifest(root: Path) -> dict[str, Any]:
    """A pairs folder's manifest; `UserError` where it is missing, damaged or of a later format."""
    path = root / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] > FORMAT:
            raise UserError(f"{path} has format {manifest['format']}: update this program")
        if not manifest["pairs"]:
            raise UserError(f"{path} lists no pairs: run stages.pair again")
        return manifest
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run stages.pair first") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: run stages.pair again") from None


def pairs_hash(root: Path) -> str:
    """SHA-256 of the manifest, which holds the hash of every picture."""
    read_manifest(root)
    return hashlib.sha256((root / "manifest.json").read_bytes()).hexdigest()


def _checked(root: Path, entry: dict[str, Any], kind: str) -> np.ndarray:
    path = root / entry[kind]
    if root.resolve() not in path.resolve().parents:
        raise UserError(f"{root / 'manifest.json'} names {entry[kind]}, outside its folder")
    if not path.is_file():
        raise UserError(f"{path} does not exist: run stages.pair again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry[f"{kind}_sha256"]:
        raise UserError(f"{path} is not the file that its manifest names: run stages.pair again")
    return read_rgb(path)


def read_pairs(root: Path, split: str) -> list[Pair]:
    """All pairs of a split, sorted by id.

    Raises:
        UserError: the manifest or a picture is missing, damaged or another one, or the split is
            empty.
    """
    entries = [entry for entry in read_manifest(root)["pairs"] if entry["split"] == split]
    if not entries:
        raise UserError(f"{root} holds no pairs of the split `{split}`")
    return [
        Pair(entry["id"], _checked(root, entry, "input"), _checked(root, entry, "target"))
        for entry in sorted(entries, key=lambda entry: entry["id"])
    ]
