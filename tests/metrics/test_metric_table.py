"""Rows of a table of metrics: order, direction and meaning."""

import numpy as np
import pytest

from chimle.metrics.evaluator import EvaluationConfig, evaluate
from chimle.metrics.metric import INPUT_BASELINE
from chimle.metrics.metric_table import curve_csv, metric_rows
from chimle.metrics.registry import plain_name
from tests.support.predictions import noise_predictions, numbers


def test_rows_compare_in_the_better_direction() -> None:
    values = {
        "psnr": 2.0,
        "input_baseline_psnr": 1.0,
        "fid": 2.0,
        "input_baseline_fid": 1.0,
        "new": 1.0,
    }
    rows = {row.name: row for row in metric_rows(values)}
    assert list(rows) == ["psnr", "fid", "new"]
    assert [row.verdict for row in rows.values()] == ["better", "worse", ""]
    assert rows["fid"].of_sets
    assert not rows["psnr"].of_sets


def test_best_of_and_mean_have_different_meanings() -> None:
    nearest, mean = metric_rows({"lpips_vgg_best_of_10": 0.1, "lpips_vgg": 0.2})
    assert "nearest" in nearest.meaning
    assert "mean" in mean.meaning


def test_table_puts_numbers_beside_the_input_baseline(config: EvaluationConfig) -> None:
    found = numbers(noise_predictions(), config)
    rows = {row.name: row for row in metric_rows(found)}
    assert not any(plain_name(name) != name for name in rows)
    row = rows["psnr"]
    assert row.baseline == found[INPUT_BASELINE + "psnr"]
    assert row.verdict in ("better", "worse")
    assert row.interval is not None
    assert row.interval[0] <= row.value <= row.interval[1]
    assert rows["frechet_squeeze_random"].interval is None


def test_the_curve_falls_from_the_mean_to_the_best(config: EvaluationConfig) -> None:
    scores, _ = evaluate(noise_predictions(), config)
    lines = curve_csv(scores).splitlines()
    assert lines[0] == "k,lpips,low,high"
    assert len(lines) == 4
    table = np.array([[float(value) for value in line.split(",")] for line in lines[1:]])
    assert (np.diff(table[:, 1]) < 0).all()
    assert table[0, 1] == pytest.approx(scores.values["lpips_squeeze_random"], rel=1e-4)
    best = scores.values["lpips_squeeze_random_best_of_3"]
    assert table[-1, 1] == pytest.approx(best, rel=1e-4)
    assert (table[:, 2] <= table[:, 1]).all()
    assert (table[:, 1] <= table[:, 3]).all()
