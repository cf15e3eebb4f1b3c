"""Differences of metrics and the gate."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimle.errors import UserError
from flows.compare import MetricChange, gate_rejection, read_changes
from flows.flow_settings import GateSettings

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def change(base: float | None, now: float | None, metric: str = "lpips_a") -> MetricChange:
    return MetricChange("colourization", metric, base, now)


@given(NUMBERS, NUMBERS, st.floats(0, 2), st.booleans())
def test_only_a_worse_model_is_refused(
    base: float, now: float, tolerance: float, higher: bool
) -> None:
    gate = GateSettings(metric="lpips_*", tolerance=tolerance, higher_is_better=higher)
    rejection = gate_rejection([change(base, now)], "colourization", gate)
    better = now >= base if higher else now <= base
    if better:
        assert rejection is None
    if rejection is None:
        assert abs(now - base) <= tolerance * abs(base) or better
    else:
        assert "colourization is not published: lpips_a went from" in rejection


def test_a_task_without_a_base_passes() -> None:
    assert (
        gate_rejection([change(None, 3.0)], "colourization", GateSettings(metric="lpips_a")) is None
    )


def test_what_cannot_be_compared_is_refused() -> None:
    gate = GateSettings(metric="lpips_*")
    renamed = [change(1.0, None, "lpips_best_of_4"), change(None, 1.0, "lpips_best_of_8")]
    rejection = gate_rejection(renamed, "colourization", gate)
    assert rejection
    assert "lpips_best_of_8 cannot be compared" in rejection
    assert "measured lpips_best_of_4" in rejection
    missing = [change(2.0, 2.0, "psnr"), change(None, 1.0)]
    assert "did not measure it" in (gate_rejection(missing, "colourization", gate) or "")


@pytest.mark.parametrize("pattern", ["psnr", "*"])
def test_the_gate_wants_exactly_one_metric(pattern: str) -> None:
    both = [change(1, 1), change(1, 1, "lpips_b")]
    with pytest.raises(UserError, match=r"flows\.yaml: gate\.metric .* name exactly one"):
        gate_rejection(both, "colourization", GateSettings(metric=pattern))


def test_a_difference_of_dvc_is_read_in_the_order_of_tasks() -> None:
    diff = {
        "metrics/a.json": {"x": {"old": 1.0, "new": 1.5, "diff": 0.5}},
        "metrics/b.json": {"y": {"new": 2.0}},
        "metrics/c.json": {"z": {"old": 2.0, "new": 2.0}},
    }
    found = read_changes(json.dumps(diff), ["b", "a"])
    assert found == [MetricChange("b", "y", None, 2.0), MetricChange("a", "x", 1.0, 1.5)]
    assert found[1].row()["change"] == "+0.5"
    assert found[0].row()["base"] == ""
    assert read_changes("", ["a"]) == []
