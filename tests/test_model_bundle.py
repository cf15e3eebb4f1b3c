"""Bundles: the same bytes again, and one sentence for what is none."""

from pathlib import Path

import pytest
import torch

from chimle.errors import UserError
from chimle.model_bundle import load_bundle, save_bundle
from chimle.settings import RunSettings, build_settings
from chimle.tower.generator import Tower
from tests.projects import TINY


def save(folder: Path) -> RunSettings:
    chosen = build_settings({"task": "decompression", "preset": "demo", **TINY}, "test")
    torch.manual_seed(0)
    tower = Tower(chosen.tower, chosen.definition.wiring)
    save_bundle(folder, tower, chosen, {"seed": 0})
    return chosen


def test_round_trip_and_same_bytes(tmp_path: Path) -> None:
    chosen = save(tmp_path / "a")
    save(tmp_path / "b")
    for name in ("weights.safetensors", "bundle.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    bundle = load_bundle(tmp_path / "a")
    assert bundle.settings == chosen and bundle.provenance == {"seed": 0}
    assert not bundle.tower.training
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no model bundle"):
        load_bundle(tmp_path)
    save(tmp_path / "a")
    weights, description = tmp_path / "a" / "weights.safetensors", tmp_path / "a" / "bundle.json"
    good, text = weights.read_bytes(), description.read_text()
    cases = {
        "is damaged": (good[:100], text),
        "does not fit": (good, text.replace('"blocks": 1', '"blocks": 2')),
        "update this program": (good, text.replace('"format": 1', '"format": 2')),
        "no model bundle of this project": (good, "{}"),
        "unknown parameter": (good, text.replace('"blocks"', '"blokcs"')),
    }
    for message, (content, words) in cases.items():
        weights.write_bytes(content)
        description.write_text(words)
        with pytest.raises(UserError, match=message):
            load_bundle(tmp_path / "a")
