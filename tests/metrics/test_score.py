"""`chimle score`: the pipeline's metrics for a folder of outputs, one sentence for a bad one."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from chimle.cli.main import app
from chimle.images.decode import write_png
from chimle.metrics import inception
from chimle.metrics.evaluator import EvaluationConfig, evaluate, flat_values
from chimle.perceptual import torch_cache
from chimle.perceptual.lpips import load_perceptual
from chimle.perceptual.weights import OFFICIAL
from chimle.settings.perceptual import PerceptualSettings
from chimle.tasks import get_task
from tests.support.predictions import noise_images, noise_predictions
from tests.support.scored import refused, run, scored, write


@pytest.mark.parametrize(
    "name",
    [
        lambda name, number: f"{name}_{number}.png",
        lambda name, number: f"{name}_{number:03}.png",
        lambda name, number: f"{name}_4.4.{number}.{number}.png",
        lambda name, number: f"{name}/{number}.png",
    ],
)
def test_numbers_are_those_of_the_stage(tmp_path: Path, name: Callable[[str, int], str]) -> None:
    predictions = noise_predictions(8)
    write(tmp_path, predictions, name)
    found = scored(tmp_path, "--inputs", tmp_path / "inputs", "--task", "colourization")
    perceptual = load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))
    expected = flat_values(
        *evaluate(predictions, EvaluationConfig(perceptual, task=get_task("colourization")))
    )
    assert found["metrics"] | found["details"] == expected
    assert "agreement_lightness" in found["metrics"]
    origin = found["provenance"]
    assert (origin["n"], origin["samples_per_input"]) == (8, 3)
    assert origin["extractor"]["origin"] == "random"
    assert origin["warnings"]


def test_ten_samples_come_in_their_order(tmp_path: Path) -> None:
    """The sets of one sample per input depend on which sample is the tenth."""
    predictions = noise_predictions(7, 11)
    write(tmp_path, predictions, lambda name, number: f"{name}_{number}.png")
    perceptual = load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))
    expected, _ = evaluate(predictions, EvaluationConfig(perceptual))
    assert scored(tmp_path)["provenance"]["images_sha256"] != expected.digest, "no inputs there"
    found = scored(tmp_path, "--inputs", tmp_path / "inputs")
    assert found["provenance"]["images_sha256"] == expected.digest


def test_a_table_gives_the_same(root: Path) -> None:
    lines = [["output", "target", "input", "note"]]
    for name in ("image_1", "image_0"):
        for number in range(3):
            row = [f"outputs/{name}_{number}.png", f"targets/{name}.png", f"inputs/{name}.png", ""]
            lines.append(row)
    with (root / "samples.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    table, folder = scored(root, outputs="samples.csv"), scored(root, "--inputs", root / "inputs")
    assert table["metrics"] | table["details"] == folder["metrics"] | folder["details"]


def test_outputs_of_chimle_sample_and_single_samples_are_read(root: Path) -> None:
    write_png(root / "outputs" / "image_0_grid.png", noise_images(side=64))
    assert scored(root)["provenance"]["n"] == 2
    for path in (root / "outputs").iterdir():
        path.unlink()
    for name in ("image_0", "image_1"):
        (root / "outputs" / f"{name}.png").write_bytes(
            (root / "targets" / f"{name}.png").read_bytes()
        )
    found = scored(root)
    assert found["provenance"]["samples_per_input"] == 1
    assert found["metrics"]["lpips_squeeze_random"] == pytest.approx(0, abs=1e-6)
    assert found["details"]["ssim"] == 1


def test_table_and_files(root: Path) -> None:
    given = ("--inputs", root / "inputs", "-o", root / "scores", "--features", root / "kept")
    result = run(root, *given)
    assert result.exit_code == 0, result.output
    assert "N = 2, 3 samples each" in result.stdout
    kept = json.loads((root / "scores" / "details.json").read_bytes())
    names = [name for name in kept if not name.startswith("input_")]
    names = [name for name in names if not name.endswith(("_low", "_high", "_deviation"))]
    assert "faithful_variance_squeeze_random_sigma_0_15" in names
    for name in names:  # Whole, in a line of its own.
        assert any(f" {name} " in line for line in result.stdout.splitlines()), name
    assert "fixed-seed random features" in result.stderr
    assert "too few" in result.stderr
    names = ["best_of_k.csv", "details.json", "metrics.json", "provenance.json"]
    assert sorted(path.name for path in (root / "scores").iterdir()) == names
    first = [(root / "scores" / name).read_bytes() for name in names]
    assert list((root / "kept").rglob("*.record"))
    run(root, *given)
    assert [(root / "scores" / name).read_bytes() for name in names] == first


def test_names_that_are_no_utf_8_are_scored(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    write(tmp_path, noise_predictions(1), lambda image, number: f"{image}_{number}.png")
    expected = scored(tmp_path)["metrics"]
    for path in [*tmp_path.glob("*/image_0*.png")]:
        path.rename(path.with_name(path.name.replace("image_0", name)))
    assert scored(tmp_path)["metrics"] == expected


def test_one_input_and_one_sample_are_in_the_singular(root: Path) -> None:
    (root / "one.csv").write_text("output,target\noutputs/image_0_0.png,targets/image_0.png\n")
    result = run(root, outputs="one.csv")
    assert result.exit_code == 0, result.output
    assert "N = 1, 1 sample each" in result.stdout
    assert "1 input is too few for metrics that compare sets" in result.stderr


def test_super_resolution_takes_any_factor(root: Path) -> None:
    for name in ("image_0", "image_1"):
        write_png(root / "inputs" / f"{name}.png", noise_images(side=8))
    given = ("--inputs", root / "inputs", "--task", "super_resolution")
    assert "agreement_psnr" in scored(root, *given)["metrics"]


def test_bad_usage_is_refused_with_one_sentence(root: Path) -> None:
    (root / "samples.csv").write_text("output,target\n")
    refused(
        run(root, "--targets", root / "targets", outputs="samples.csv"), "leave out the folders"
    )
    refused(run(root, "--task", "colourization"), "--inputs")
    (root / "pairs.csv").write_text("output,target\noutputs/image_0_0.png,targets/image_0.png\n")
    refused(run(root, "--task", "colourization", outputs="pairs.csv"), "the column `input`")
    refused(run(root, "--task", "painting"), "unknown task")
    refused(run(root, "--inception", root / "nowhere.pth"), "nowhere.pth does not exist")
    refused(run(root, outputs="nowhere.csv"), "does not exist")
    refused(run(root, "--weights", ""), "`--weights` is empty")
    quality, inputs = ("--jpeg-quality", "1"), ("--inputs", root / "inputs")
    refused(run(root, *quality), "`--jpeg-quality` changes nothing without `--task`")
    refused(run(root, *quality, *inputs, "--task", "colourization"), "nothing for colourization")
    refused(CliRunner().invoke(app, ["score", str(root / "outputs")]), "--targets")
    bare = ["score", str(root / "nowhere"), "--targets", str(root / "targets")]
    refused(CliRunner().invoke(app, bare), "nowhere is no folder")
    assert np.all([path.suffix != ".json" for path in root.rglob("*")])


def test_messages_name_the_options_that_were_typed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch_cache, "RETRIES", 0)
    monkeypatch.setattr(inception, "OFFICIAL_URL", "http://127.0.0.1:9/inception.pth")
    monkeypatch.setitem(OFFICIAL, "squeeze", "http://127.0.0.1:9/squeeze-00000000.pth")
    for option in ("--weights", "--inception"):
        for value in (root / "nowhere.pth", root / "outputs", "official"):
            done = run(root, option, value)
            refused(done, f"`{option}`")
            assert "perceptual.weights" not in done.stderr
            assert "evaluate.inception" not in done.stderr


def test_where_nothing_can_be_written_nothing_is_scored(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.txt").write_text("kept")
    monkeypatch.setattr("chimle.metrics.score_files.score", None)  # Not reached.
    for place in (root / "a.txt", root / "a.txt" / "below" / "deeper"):
        refused(run(root, "-o", place), "a.txt is no folder")
    assert (root / "a.txt").read_text() == "kept"


def test_scores_may_be_written_below_the_outputs(root: Path) -> None:
    for _ in range(2):  # The second time the folder is there.
        assert scored(root, "-o", root / "outputs" / "scores")["provenance"]["n"] == 2


def test_features_may_be_kept_below_the_outputs(root: Path) -> None:
    place = root / "outputs" / "features"
    first = scored(root, "--features", place)
    assert any(place.iterdir())
    assert scored(root, "--features", place)["metrics"] == first["metrics"]
