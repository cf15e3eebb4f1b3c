"""Variants of the ablation are valid settings, and none is reported in another's place."""

from pathlib import Path

import pytest
import torch

from benchmarks.ablation import MEASURES, VARIANTS, cell, measured, variant_settings
from chimle.data.fetch.fetching import fetch
from chimle.data.pair.make_pairs import make_pairs
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from tests.support.helpers import ROOT
from tests.support.projects import TINY, write_photographs, write_project

TASK = "colourization"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_its_fields_alone(name: str) -> None:
    base = load_settings(ModelSettings, "super_resolution", ROOT)
    changed = variant_settings(base, name, 3).model_dump(mode="json")
    expected = base.model_dump(mode="json")
    for group, fields in VARIANTS[name].items():
        expected[group] |= fields
    expected["train"] |= {"rounds": 10_000, "start": "scratch"}
    expected["seed"] = 3
    assert changed == expected


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos")
    return write_project(tmp_path, {TASK: {"source": {"kind": "folder", "path": "photos"}}}, TINY)


def trained(root: Path, seconds: float = 1e-9, **perceptual: object) -> list[float]:
    """The losses of a variant `base`, after the pairs were made."""
    settings = load_settings(RunSettings, TASK, root)
    fetch(settings, root, root / "data" / "raw" / TASK)
    folder = root / "data" / "pairs" / TASK
    make_pairs(settings, root / "data" / "raw" / TASK, folder, root / "scratch")
    values = load_settings(ModelSettings, TASK, root)
    own = values.model_copy(
        update={"perceptual": values.perceptual.model_copy(update=dict(perceptual))}
    )
    states = set(root.glob("scratch/ablation/*.pt"))
    steps, measures = measured(variant_settings(own, "base", 0), "base", root, seconds)
    assert steps > 0
    assert set(measures) == set(MEASURES)
    made = set(root.glob("scratch/ablation/*.pt")) - states
    found = [torch.load(path, weights_only=True) for path in made]
    return [loss for state in found for loss in state["position"]["history"][-1]]


def test_a_training_is_done_once_and_with_other_settings_time_or_pairs_anew(project: Path) -> None:
    first = trained(project)
    assert first
    assert not trained(project)
    assert trained(project, seconds=2e-9)
    by_gradients = trained(project, distance="gradients")
    assert by_gradients[2] not in first
    write_photographs(project / "photos", seed=1)
    assert trained(project)


def test_a_cell_names_the_mean_and_the_ends() -> None:
    assert cell([0.25]) == "0.25"
    assert cell([1.0, 2.0]) == "1.5 (1 to 2)"
