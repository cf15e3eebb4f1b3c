"""Which files are whose outputs: by folders, by names, by a table; one sentence for bad ones."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chimle.cli.main import app
from chimle.images.decode import write_png
from chimle.metrics.evaluator import EvaluationConfig, evaluate
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from tests.support.predictions import noise_images, noise_predictions
from tests.support.scored import refused, run, scored, write


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
