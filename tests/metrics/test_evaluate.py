"""Evaluation: order, batches and caches change no metric; Inception."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chimle.errors import UserError
from chimle.metrics import feature_records as records
from chimle.metrics import inception as inception_module
from chimle.metrics.evaluator import EvaluationConfig, evaluate, flat_values
from chimle.metrics.inception import load_inception
from chimle.metrics.metric import DEVIATION, HIGH, INPUT_BASELINE, LOW
from chimle.metrics.metric_table import curve_csv, measured_with, metric_rows
from chimle.metrics.prdc import FEWEST
from chimle.metrics.prediction import Prediction
from chimle.metrics.registry import METRICS, find_metric, plain_name, split_headline
from chimle.perceptual import torch_cache
from chimle.perceptual.lpips import load_perceptual
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.settings.perceptual import PerceptualSettings
from chimle.tasks import get_task
from tests.support.helpers import ROOT
from tests.support.predictions import noise_images, noise_predictions


@pytest.fixture(scope="module")
def config() -> EvaluationConfig:
    perceptual = load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))
    return EvaluationConfig(perceptual, task=get_task("colourization"), resamples=200)


def numbers(predictions: list[Prediction], config: EvaluationConfig) -> dict[str, float]:
    return flat_values(*evaluate(predictions, config))


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


def test_images_go_through_the_network_once(
    config: EvaluationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, keeping = noise_predictions(), replace(config, records=tmp_path / "features")
    found = numbers(predictions, keeping)
    assert found == numbers(predictions, config)
    kept = sorted((tmp_path / "features").rglob("*.npz"))
    assert len(kept) == 4 * len(predictions), "samples and input baseline, at two scales"

    def refuse(*_: object) -> None:
        raise AssertionError("extracted again")

    monkeypatch.setattr(records, "_compute_lpips_features", refuse)
    assert numbers(predictions[::-1], keeping) == found


def test_a_damaged_record_is_made_again(config: EvaluationConfig, tmp_path: Path) -> None:
    prediction, keeping = noise_predictions(1)[0], replace(config, records=tmp_path)
    first = records.lpips_features(prediction, config.perceptual, 16, keeping.records)
    (path,) = tmp_path.rglob("*.npz")
    for damage in (b"", path.read_bytes()[:100], b"text"):
        path.write_bytes(damage)
        again = records.lpips_features(prediction, config.perceptual, 16, keeping.records)
        assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not list(tmp_path.rglob(".*")), "no temporary file is left"


def test_another_image_or_network_is_another_record(
    config: EvaluationConfig, tmp_path: Path
) -> None:
    prediction = noise_predictions(1)[0]
    records.lpips_features(prediction, config.perceptual, 16, tmp_path)
    changed = prediction.samples.copy()
    changed[0, 0, 0, 0] ^= 1
    records.lpips_features(replace(prediction, samples=changed), config.perceptual, 16, tmp_path)
    other = load_perceptual(PerceptualSettings(backbone="alex", weights="random"))
    records.lpips_features(prediction, other, 16, tmp_path)
    records.lpips_features(replace(prediction, id="renamed"), other, 16, tmp_path)
    assert len(list(tmp_path.rglob("*.npz"))) == 3


def test_a_record_is_of_the_scale_that_its_name_says(config: EvaluationConfig) -> None:
    prediction, scaled = noise_predictions(1)[0], config.perceptual.at_scales(2)
    for measure in (records.lpips_features, records.enlarged_features):
        first, second = (measure(prediction, one, 16, None) for one in (config.perceptual, scaled))
        assert all(np.array_equal(first[name], second[name]) for name in first)


EDITED = """
from pathlib import Path
import numpy as np
from chimle.metrics import feature_records as records
from chimle.metrics.prediction import Prediction

image = np.zeros((8, 8, 3), np.uint8)
prediction = Prediction("a", image[None], image)


def key():
    records._code.cache_clear()
    return records._key(prediction, network="any")


before = key()
for name in (
    "perceptual/normalised_distance", "perceptual/lpips", "images/resample", "images/pyramid",
    "metrics/inception", "metrics/feature_records", "cli/score_command",
):
    file = Path("chimle", name).with_suffix(".py")
    source = file.read_text()
    file.write_text(source + "# Another formula.\\n")
    print(name, key() != before)
    file.write_text(source)
    assert key() == before
"""


def test_changed_code_makes_other_records(tmp_path: Path) -> None:
    """Whatever the features are computed by, however far from it they are asked for."""
    shutil.copytree(
        ROOT / "chimle", tmp_path / "chimle", ignore=shutil.ignore_patterns("__pycache__")
    )
    done = subprocess.run(
        [sys.executable, "-c", EDITED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    changed = dict(line.split() for line in done.stdout.splitlines())
    assert changed.pop("cli/score_command") == "False", "features do not depend on the command"
    assert len(changed) == 6
    assert set(changed.values()) == {"True"}, changed


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


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the official file's form, with random weights."""
    import_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Saved(Exception):  # noqa: N818
        pass

    path = tmp_path_factory.mktemp("inception") / "stand-in.pth"
    state: dict[str, torch.Tensor] = {}
    original = module.torch.load
    try:
        module.torch.load = lambda *_, **__: state
        build = module.FeatureExtractorInceptionV3.load_state_dict
        module.FeatureExtractorInceptionV3.load_state_dict = lambda *_: None
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path="none"
        )
    finally:
        module.torch.load = original
        module.FeatureExtractorInceptionV3.load_state_dict = build
    torch.save(network.state_dict(), path)
    return path


def test_fid_is_that_of_the_official_file_or_none(
    config: EvaluationConfig, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_inception(None) is None
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        load_inception("nowhere.pth", root=tmp_path)
    with pytest.raises(UserError, match="is not the official Inception file"):
        load_inception(str(stand_in))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch_cache, "RETRIES", 0)
    monkeypatch.setattr(inception_module, "OFFICIAL_URL", "http://127.0.0.1:9/inception.pth")
    with pytest.raises(UserError, match=r"cannot be fetched.*evaluate\.inception"):
        load_inception("official")

    content = stand_in.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(inception_module, "OFFICIAL_SHA256", digest)
    cached = tmp_path / "hub" / "checkpoints" / "inception.pth"
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(content)
    found = load_inception("official")
    assert found is not None
    assert (found.origin, found.sha256) == ("official", digest)

    with_fid = replace(config, inception=found, records=tmp_path / "features")
    scores, baseline = evaluate(noise_predictions(FEWEST, 2), with_fid)
    assert scores.values["fid"] > 0
    assert "kid" in scores.values
    assert baseline is not None
    assert "precision_inception" in scores.values
    assert "frechet_squeeze_random" in scores.values
    assert "fid" in split_headline(scores.values)[0]
    assert measured_with(with_fid, scores)["inception"] == {"origin": "official", "sha256": digest}
    assert json.dumps(measured_with(with_fid, scores))
