"""Packed bundles: a card for any provenance, and one sentence for damaged metrics."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chimle.bundles.bundle import Bundle, load_bundle
from chimle.bundles.pack import pack
from chimle.errors import UserError
from tests.support.projects import tiny_bundle

TASK = "decompression"
FIELDS = (
    "imported_from",
    "imported_sha256",
    "steps",
    "device",
    "seed",
    "data",
    "pairs_sha256",
    "start_sha256",
    "extractor",
    "commit",
    "settings_sha256",
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("name", "a")), inner)
    ),
    max_leaves=3,
)
PROVENANCES = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(tiny_bundle(tmp_path_factory.mktemp("bundle") / "a", TASK, levels=1))


def card_of(bundle: Bundle, provenance: dict[str, Any], seconds: float | None = None) -> str:
    """The card of a bundle with a provenance, of a training limited by rounds or by time."""
    train = bundle.settings.train.model_copy(update={"seconds": seconds})
    settings = bundle.settings.model_copy(update={"train": train})
    with TemporaryDirectory() as folder:
        out = Path(folder) / "packed"
        odd = replace(bundle, provenance=provenance, settings=settings)
        pack(odd, out, None, Path(folder))
        assert load_bundle(out).license == bundle.license
        return (out / "README.md").read_text(encoding="utf-8")


@given(PROVENANCES, st.sampled_from([None, 60.0]))
@hypothesis_settings(max_examples=80)
def test_a_provenance_of_any_kind_has_a_card(
    bundle: Bundle, provenance: dict[str, Any], seconds: float | None
) -> None:
    card = card_of(bundle, provenance, seconds)
    table = card.partition("## What it is")[2].partition("## Limits")[0].strip().splitlines()
    assert all(line.startswith("| ") and line.endswith(" |") for line in table[2:])
    assert all(line.replace("\\|", "").count("|") == 3 for line in table)


def test_a_card_says_what_is_known(bundle: Bundle) -> None:
    card = card_of(bundle, {"imported_from": "a|b\n.pth"})
    assert "| imported from | a\\|b .pth, SHA-256 unknown |" in card
    odd = {"extractor": ["lpips"], "steps": "many", "seed": None, "commit": "\ud800"}
    card = card_of(bundle, odd, seconds=60)
    assert "| perceptual features | unknown |" in card
    assert "60 s of searches and steps, batch" in card
    assert "| seed | unknown |" in card
    assert "| commit | \\ud800 |" in card
    card = card_of(bundle, {"extractor": {"name": "lpips"}, "steps": 12345}, seconds=60)
    assert "| perceptual features | lpips |" in card
    assert "steps, 12,345 steps," in card


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("{}.json", {"psnr": "high"}, "`psnr` is no finite number"),
        ("{}.provenance.json", [], "must map names to values"),
        ("{}.provenance.json", {"n": 3}, "lacks `samples_per_input`"),
        ("details/{}.json", {"input_baseline_psnr": [1]}, "is no finite number"),
        ("../galleries/{}/gallery.json", [{"input": "a.png"}], "entry 0 is damaged"),
    ],
)
def test_damaged_metrics_are_one_sentence(
    bundle: Bundle, tmp_path: Path, name: str, content: object, words: str
) -> None:
    origin = {"n": 1, "samples_per_input": 2, "warnings": [], "extractor": {}}
    files = {
        "{}.json": {"psnr": 20.0},
        "details/{}.json": {"input_baseline_psnr": 19.0},
        "{}.provenance.json": origin,
        name: content,
    }
    for place, values in files.items():
        path = tmp_path / "metrics" / place.format(TASK)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    own = {key: value for key, value in bundle.provenance.items() if not key.endswith("_sha256")}
    with pytest.raises(UserError, match=words):
        pack(replace(bundle, provenance=own), tmp_path / "out", None, tmp_path)
    assert not (tmp_path / "out").exists()


def test_weights_that_half_precision_does_not_hold_are_not_packed(
    tmp_path: Path, bundle: Bundle
) -> None:
    large = copy.deepcopy(bundle)
    with torch.no_grad():
        next(large.tower.parameters()).flatten()[0] = 1e5
    with pytest.raises(UserError, match=r"beyond 65,504, .*leave out `--half`"):
        pack(large, tmp_path / "half", None, tmp_path, half=True)
    assert not list(tmp_path.iterdir())
    pack(large, tmp_path / "whole", None, tmp_path)
    assert load_bundle(tmp_path / "whole")
