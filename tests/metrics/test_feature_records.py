"""Records of features: made once, and again where anything that they are computed by changes."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chimle.metrics import feature_records as records
from chimle.metrics.evaluator import EvaluationConfig
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from tests.support.helpers import ROOT
from tests.support.predictions import noise_predictions, numbers


def test_images_go_through_the_network_once(
    config: EvaluationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, keeping = noise_predictions(), replace(config, records=tmp_path / "features")
    found = numbers(predictions, keeping)
    assert found == numbers(predictions, config)
    kept = sorted((tmp_path / "features").rglob("*.record"))
    assert len(kept) == 4 * len(predictions), "samples and input baseline, at two scales"

    def refuse(*_: object) -> None:
        raise AssertionError("extracted again")

    monkeypatch.setattr(records, "_compute_lpips_features", refuse)
    assert numbers(predictions[::-1], keeping) == found


def _changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def test_a_damaged_record_is_made_again(config: EvaluationConfig, tmp_path: Path) -> None:
    prediction, keeping = noise_predictions(1)[0], replace(config, records=tmp_path)
    first = records.lpips_features(prediction, config.perceptual, 16, keeping.records)
    (path,) = tmp_path.rglob("*.record")
    good = path.read_bytes()
    # A record says at several places how it is packed, what is in it, and how much.
    damaged = (_changed(good, place) for place in range(0, len(good), len(good) // 100))
    for damage in (b"", good[:100], b"text", *damaged):
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
    assert len(list(tmp_path.rglob("*.record"))) == 3


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
