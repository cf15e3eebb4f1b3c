"""Samples in bf16: near those of fp32, in the same agreement with their input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import chimle
from chimle.inference.sample_names import mixture_of
from chimle.metrics.agreement import agreement
from chimle.settings.degradation import DegradationSettings
from chimle.settings.reading import build_settings
from chimle.tasks import TASKS
from tests.support.command import run
from tests.support.projects import noise_image, tiny_bundle

MEAN_DIFFERENCE = 1.0
"""Levels of 255."""


@pytest.mark.parametrize("task", TASKS)
def test_bf16_draws_nearly_the_same_samples_that_agree_as_well(task: str) -> None:
    exact, fast = chimle.load(task), chimle.load(task, "bf16")
    given = exact.degraded(data.astronaut()[:160, 40:200])
    code = exact.degraded_code()
    mixtures = [mixture_of(exact.name(n)) for n in ("0", "3")]
    wanted, found = (
        np.stack(list(model.draw(given, mixtures, 0, code))) for model in (exact, fast)
    )
    difference = np.abs(wanted.astype(int) - found.astype(int))
    assert 0 < difference.mean() < MEAN_DIFFERENCE
    settings = build_settings(DegradationSettings, exact.bundle.degradation, "the model")
    before, after = (
        agreement(samples, given, TASKS[task], settings) for samples in (wanted, found)
    )
    assert before.keys() == after.keys()
    assert all(after[name] == pytest.approx(before[name], abs=0.2) for name in before)


def test_an_arithmetic_around_the_model_changes_nothing(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    image = noise_image((32, 40))
    plain = model.sample(image, n=1)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(model.sample(image, n=1)[0], plain)


def test_the_command_takes_either_and_refuses_others(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    Image.fromarray(noise_image((64, 80))).save(tmp_path / "photo.png")
    drawn = {}
    for precision in ("fp32", "bf16"):
        out = tmp_path / precision
        done = run(
            "sample", tmp_path / "photo.png", "--model", bundle, "-n", 1, "-o", out,
            "--precision", precision,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        drawn[precision] = np.asarray(Image.open(out / "photo_00.png"))
    assert not np.array_equal(drawn["fp32"], drawn["bf16"])
    done = run("sample", tmp_path / "photo.png", "--model", bundle, "--precision", "fp8")
    assert done.returncode == 2
    assert "fp8" in done.stderr
