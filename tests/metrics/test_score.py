"""`chimle score`: the pipeline's metrics for a folder of outputs, one sentence for a bad one."""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from chimle.cli.main import app
from chimle.images.decode import write_png
from chimle.metrics.evaluator import EvaluationConfig, evaluate, flat_values
from chimle.metrics.prediction import Prediction
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from chimle.tasks import get_task
from tests.support.predictions import noise_images, noise_predictions


def write(root: Path, predictions: list[Prediction], name: Callable[[str, int], str]) -> None:
    """Targets, inputs, and outputs under a naming."""
    for prediction in predictions:
        write_png(root / "targets" / f"{prediction.id}.png", prediction.target)
        assert prediction.input is not None
        write_png(root / "inputs" / f"{prediction.id}.png", prediction.input)
        for number, sample in enumerate(prediction.samples):
            write_png(root / "outputs" / name(prediction.id, number), sample)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two inputs with three samples each, named NAME_0.png and so on."""
    write(tmp_path, noise_predictions(2), lambda name, number: f"{name}_{number}.png")
    return tmp_path


def run(root: Path, *extra: object, outputs: str = "outputs") -> Result:
    given = ["score", str(root / outputs), "--weights", "random", *map(str, extra)]
    if outputs == "outputs":
        given += ["--targets", str(root / "targets")]
    return CliRunner().invoke(app, given)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def scored(root: Path, *extra: object, outputs: str = "outputs") -> dict[str, Any]:
    result = run(root, *extra, "--json", outputs=outputs)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


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
    assert "lpips_squeeze_random_best_of_3" in result.stdout
    assert "N = 2" in result.stdout
    assert "fixed-seed random features" in result.stderr
    assert "too few" in result.stderr
    names = ["best_of_k.csv", "details.json", "metrics.json", "provenance.json"]
    assert sorted(path.name for path in (root / "scores").iterdir()) == names
    first = [(root / "scores" / name).read_bytes() for name in names]
    assert list((root / "kept").rglob("*.npz"))
    run(root, *given)
    assert [(root / "scores" / name).read_bytes() for name in names] == first


def test_super_resolution_takes_any_factor(root: Path) -> None:
    for name in ("image_0", "image_1"):
        write_png(root / "inputs" / f"{name}.png", noise_images(side=8))
    given = ("--inputs", root / "inputs", "--task", "super_resolution")
    assert "agreement_psnr" in scored(root, *given)["metrics"]


def _smaller_target(root: Path) -> None:
    write_png(root / "targets" / "image_1.png", noise_images(side=16))


def _smaller_sample(root: Path) -> None:
    write_png(root / "outputs" / "image_1_1.png", noise_images(side=16))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda r: (r / "outputs" / "image_0_2.png").unlink(), "equally many"),
        (lambda r: (r / "targets" / "image_0.png").unlink(), "belongs to no target"),
        (lambda r: write_png(r / "targets" / "new.png", noise_images()), "has no sample in"),
        (lambda r: write_png(r / "outputs" / "new_0.png", noise_images()), "belongs to no target"),
        (lambda r: (r / "outputs" / "new").mkdir(), "belongs to no target"),
        (lambda r: (r / "inputs" / "image_1.png").unlink(), "has no input in"),
        (lambda r: write_png(r / "inputs" / "new.png", noise_images()), "has no target in"),
        (lambda r: (r / "targets" / "image_0.jpg").write_bytes(b""), "have one name"),
        (lambda r: write_png(r / "targets" / "image.png", noise_images()), "has no sample in"),
        (lambda r: write_png(r / "outputs" / "image_0.png", noise_images()), "equally many"),
        (lambda r: write_png(r / "targets" / "image_0_1.png", noise_images()), "may belong to"),
        (_smaller_target, "they must be of one size"),
        (_smaller_sample, "image_1_1.png has 16x16 pixels"),
        (lambda r: (r / "outputs" / "image_1_1.png").write_bytes(b"x"), "damaged or no image"),
        (lambda r: write_png(r / "inputs" / "image_1.png", noise_images(side=16)), "of one size"),
    ],
)
def test_each_bad_folder_is_refused_with_one_sentence(
    root: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(root)
    given = ("--inputs", root / "inputs", "--task", "colourization", "-o", root / "scores")
    refused(run(root, *given), words)
    assert not (root / "scores").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("output,goal\na,b\n", "no column `target`"),
        ("output,target\n", "lists no sample"),
        ("output,target\na.png,\n", "line 2: `target` is empty"),
        ('output,target\n"a\nb.png",c.png\nd.png,\n', "line 4: `target` is empty"),
        ('output,target\na.png,b.png\n"c.png,d.png\ne.png,f.png\n', "line 3: this row is no CSV"),
        ('output,target\n"a"a.png,b.png\n', "line 2: this row is no CSV"),
        ('"output,target\na.png,b.png\n', "line 1: this row is no CSV"),
        ('output,target\na.png,b.png\n\n\n"c.png,d.png\n', "line 5: this row is no CSV"),
        ("\n\noutput,target\n\na.png\n", "line 5: `target` is empty"),
        ("output,target,input\na.png,b.png,c.png\nd.png,b.png,e.png\n", "several inputs"),
        ("output,target\nnowhere.png,targets/image_0.png\n", "nowhere.png does not exist"),
    ],
)
def test_each_bad_table_is_refused_with_one_sentence(root: Path, text: str, words: str) -> None:
    (root / "samples.csv").write_text(text)
    refused(run(root, outputs="samples.csv"), words)


def test_bad_usage_is_refused_with_one_sentence(root: Path) -> None:
    (root / "samples.csv").write_text("output,target\n")
    refused(
        run(root, "--targets", root / "targets", outputs="samples.csv"), "leave out the folders"
    )
    refused(run(root, "--task", "colourization"), "--inputs")
    refused(run(root, "--task", "painting"), "unknown task")
    refused(run(root, "--inception", root / "nowhere.pth"), "nowhere.pth does not exist")
    refused(run(root, outputs="nowhere.csv"), "does not exist")
    refused(run(root, "--weights", ""), "options of `chimle score`", "`weights`")
    refused(CliRunner().invoke(app, ["score", str(root / "outputs")]), "--targets")
    bare = ["score", str(root / "nowhere"), "--targets", str(root / "targets")]
    refused(CliRunner().invoke(app, bare), "nowhere is no folder")
    assert np.all([path.suffix != ".json" for path in root.rglob("*")])


def test_what_systems_leave_behind_is_no_output(root: Path) -> None:
    expected = scored(root)
    for name in ("._image_0_0.png", ".DS_Store", "Thumbs.db"):
        (root / "outputs" / name).write_bytes(b"x")
    for name in ("@eaDir", ".cache", "__MACOSX"):
        (root / "outputs" / name).mkdir()
    (root / "targets" / "._image_0.png").write_bytes(b"x")
    write_png(root / "outputs" / "image_0_grid.png", noise_images(side=64))
    (root / "outputs" / "notes.txt").write_text("x")
    os.mkfifo(root / "outputs" / "image_0_9.png")
    found = scored(root)
    assert found["metrics"] == expected["metrics"]
    assert {Path(one["file"]).name: one["reason"] for one in found["left_out"]} == {
        "._image_0_0.png": "hidden",
        ".DS_Store": "hidden",
        "Thumbs.db": "left behind by an operating system",
        "@eaDir": "left behind by an operating system (folder)",
        ".cache": "hidden (folder)",
        "__MACOSX": "left behind by an operating system (folder)",
        "._image_0.png": "hidden",
        "image_0_grid.png": "an overview grid",
        "notes.txt": "no image file (.txt)",
        "image_0_9.png": "a pipe",
    }
    assert "10 files are left out: 3 hidden; " in run(root).stderr


@pytest.mark.parametrize(
    "name",
    [
        lambda name, number: f"{name}_{number}.png",
        lambda name, number: f"{name}/{number}.png",
    ],
)
def test_targets_in_folders(tmp_path: Path, name: Callable[[str, int], str]) -> None:
    """`cat/001.png` and `dog/001.png` are two targets, each with its own outputs."""
    predictions = [
        replace(one, id=id_)
        for one, id_ in zip(noise_predictions(3), ("cat/001", "dog/001", "top"), strict=True)
    ]
    write(tmp_path, predictions, name)
    found = scored(tmp_path, "--inputs", tmp_path / "inputs", "--task", "colourization")
    perceptual = load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))
    expected, _ = evaluate(predictions, EvaluationConfig(perceptual))
    assert found["provenance"]["n"] == 3
    assert found["provenance"]["images_sha256"] == expected.digest
    (tmp_path / "targets" / "dog" / "001.png").unlink()
    given = ("--inputs", tmp_path / "inputs")
    refused(run(tmp_path, *given), "belongs to no target")


@pytest.mark.parametrize("end", ["_{}.png", "/{}.png"])
def test_accents_may_be_written_in_two_ways(tmp_path: Path, end: str) -> None:
    """A folder that was unpacked on a Mac has the same names as one of Linux."""
    accents = [replace(one, id=f"{one.id}-\u00e9") for one in noise_predictions(2)]
    write(
        tmp_path,
        accents,
        lambda name, number: name.replace("\u00e9", "e\u0301") + end.format(number),
    )
    assert scored(tmp_path, "--inputs", tmp_path / "inputs")["provenance"]["n"] == 2


def test_where_nothing_can_be_written_nothing_is_scored(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.txt").write_text("kept")
    monkeypatch.setattr("chimle.metrics.score_files.score", None)  # Not reached.
    for place in (root / "a.txt", root / "a.txt" / "below" / "deeper"):
        refused(run(root, "-o", place), "a.txt is no folder")
    assert (root / "a.txt").read_text() == "kept"


def test_features_may_be_kept_below_the_outputs(root: Path) -> None:
    place = root / "outputs" / "features"
    first = scored(root, "--features", place)
    assert any(place.iterdir())
    assert scored(root, "--features", place)["metrics"] == first["metrics"]


def test_folders_within_each_other(root: Path) -> None:
    """Targets and inputs below the folder of outputs are no outputs."""
    expected = scored(root, "--inputs", root / "inputs")
    for name in ("targets", "inputs"):
        (root / name).rename(root / "outputs" / name)
    outputs = root / "outputs"
    folders = ["--targets", str(outputs / "targets"), "--inputs", str(outputs / "inputs")]
    given = ["score", str(outputs), *folders, "--weights", "random", "--json"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["metrics"] == expected["metrics"]
    assert "2 another folder of the command" in result.stderr
