"""Variants of the ablation are valid settings."""

import pytest

from benchmarks.ablation import VARIANTS, cell, variant_settings
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings
from tests.support.helpers import ROOT


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_its_fields_alone(name: str) -> None:
    base = load_settings(ModelSettings, "super_resolution", ROOT)
    changed = variant_settings(base, name, 3).model_dump(mode="json")
    expected = base.model_dump(mode="json")
    for group, fields in VARIANTS[name].items():
        expected[group] |= fields
    expected["train"]["rounds"], expected["seed"] = 10_000, 3
    assert changed == expected


def test_a_cell_names_the_mean_and_the_ends() -> None:
    assert cell([0.25]) == "0.25"
    assert cell([1.0, 2.0]) == "1.5 (1 to 2)"
