"""Evaluation: every metric is declared, and order, batches and threads change none."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from chimle.errors import UserError
from chimle.metrics.evaluator import EvaluationConfig, evaluate
from chimle.metrics.metric import DEVIATION, HIGH, INPUT_BASELINE, LOW
from chimle.metrics.metric_table import measured_with
from chimle.metrics.prdc import FEWEST
from chimle.metrics.registry import METRICS, find_metric, plain_name, split_headline
from chimle.tasks import get_task
from tests.support.predictions import noise_images, noise_predictions, numbers


@pytest.mark.parametrize("task", ["colourization", "decompression", "super_resolution"])
def test_all_numbers_are_declared_finite_and_within_their_range(
    config: EvaluationConfig, task: str
) -> None:
    predictions = noise_predictions(input_side=2 if task == "super_resolution" else 32)
    found = numbers(predictions, replace(config, task=get_task(task)))
    for name, value in found.items():
        metric = find_metric(plain_name(name))
        assert metric is not None, name
        assert isinstance(value, float)
        assert math.isfinite(value)
        if name.endswith(DEVIATION):
            assert value >= 0
            continue
        assert metric.lowest is None or value >= metric.lowest, name
        assert metric.highest is None or value <= metric.highest, name
    assert "lpips_squeeze_random_best_of_3" in found
    assert "fid" not in found
    assert INPUT_BASELINE + "psnr" in found
    assert INPUT_BASELINE + "psnr" + LOW in found


def test_the_short_file_is_short(config: EvaluationConfig) -> None:
    short, rest = split_headline(numbers(noise_predictions(), config))
    assert 5 <= len(short) <= 10
    assert not set(short) & set(rest)
    assert not any(name.startswith(INPUT_BASELINE) or name.endswith((LOW, HIGH)) for name in short)
    assert sum("_best_of_" in name for name in short) == 1, "the gate of the flows wants one"


def test_every_metric_is_explained() -> None:
    for metric in METRICS:
        assert metric.meaning
        assert metric.formula
        assert metric.source
        assert metric.span
    best, mean = find_metric("lpips_vgg_best_of_10"), find_metric("lpips_vgg")
    assert best is not None
    assert mean is not None
    assert best.meaning != mean.meaning
    assert find_metric("faithful_variance_alex_sigma_0_15") is not None
    assert find_metric("fid_like") is find_metric("frechet_inception") is None
    assert find_metric("coverage_inception") is not None


def test_order_of_inputs_changes_nothing(config: EvaluationConfig) -> None:
    predictions = noise_predictions()
    shuffled = [
        predictions[place] for place in np.random.default_rng(0).permutation(len(predictions))
    ]
    assert numbers(shuffled, config) == numbers(predictions, config)


def test_batch_size_and_threads_change_nothing_beyond_rounding(config: EvaluationConfig) -> None:
    predictions, threads = noise_predictions(), torch.get_num_threads()
    expected = numbers(predictions, config)
    try:
        torch.set_num_threads(3 - min(threads, 2))
        for batch_size in (1, 4):
            found = numbers(predictions, replace(config, batch_size=batch_size))
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    finally:
        torch.set_num_threads(threads)


def test_order_of_samples_changes_no_mean_over_inputs(config: EvaluationConfig) -> None:
    predictions = noise_predictions()
    turned = [replace(prediction, samples=prediction.samples[::-1]) for prediction in predictions]
    (one, _), (other, _) = evaluate(predictions, config), evaluate(turned, config)
    assert {k: v.mean() for k, v in other.rows.items()} == pytest.approx(
        {k: v.mean() for k, v in one.rows.items()}, rel=1e-4, abs=1e-6
    )
    np.testing.assert_allclose(other.curve, one.curve, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": noise_images(2)}, "image_0 has 2 samples and image_1 3"),
        ({"samples": noise_images(3, side=16)}, "samples have 16x16 pixels and its target 32x32"),
        ({"id": "image_1"}, "two inputs are called image_1"),
        (
            {"samples": noise_images(3, side=8), "target": noise_images(side=8)},
            "image_0 has 8x8 pixels: sides of at least 11",
        ),
    ],
)
def test_malformed_predictions_are_refused(
    config: EvaluationConfig, change: dict[str, Any], words: str
) -> None:
    predictions = noise_predictions(2)
    with pytest.raises(UserError, match=words):
        evaluate([predictions[1], replace(predictions[0], **change)], config)


def test_no_prediction_and_what_is_no_number_are_refused(
    config: EvaluationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate([], config)
    monkeypatch.setattr("chimle.metrics.evaluator.psnr", lambda *_: np.array([math.nan]))
    with pytest.raises(UserError, match="`psnr` is not finite"):
        evaluate(noise_predictions(2), config)


def test_few_inputs_have_no_set_metrics_and_say_so(config: EvaluationConfig) -> None:
    scores, _ = evaluate(noise_predictions(FEWEST - 1), config)
    assert not any("frechet" in name or "recall" in name for name in scores.values)
    assert "too few" in measured_with(config, scores)["warnings"][-1]


def test_inputs_that_are_missing_leave_out_what_needs_them(config: EvaluationConfig) -> None:
    predictions = [replace(prediction, input=None) for prediction in noise_predictions()]
    scores, baseline = evaluate(predictions, config)
    assert baseline is None
    assert not any("agreement" in name for name in scores.values)
