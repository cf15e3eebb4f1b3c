"""`chimle.score`: the values of `chimle score` for images in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chimle
from chimle.errors import UserError
from chimle.images.degrade import grey
from chimle.metrics import score_files
from chimle.settings.perceptual import PerceptualSettings
from tests.support.projects import noise_image

TARGETS = [noise_image((32, 34 + number)) for number in range(3)]
INPUTS = [grey(target) for target in TARGETS]
SAMPLES = [[target // 2, target // 3 + 40] for target in TARGETS]


def test_values_are_those_of_the_files(tmp_path: Path) -> None:
    for number, (samples, target, given) in enumerate(zip(SAMPLES, TARGETS, INPUTS, strict=True)):
        images = {f"outputs/{number:06}_{j}.png": image for j, image in enumerate(samples)}
        images |= {f"targets/{number:06}.png": target, f"inputs/{number:06}.png": given}
        for name, image in images.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / name)
    request = score_files.ScoreRequest(
        tmp_path / "outputs",
        tmp_path / "targets",
        tmp_path / "inputs",
        "colourization",
        PerceptualSettings(weights="random"),
    )
    _, content, _ = score_files.score(request)
    found = chimle.score(SAMPLES, TARGETS, INPUTS, task="colourization", weights="random")
    assert found == content["metrics"] | content["details"]
    assert list(found) == [*content["metrics"], *content["details"]]
    assert "input_baseline_psnr" in found


def test_without_inputs_there_is_no_baseline() -> None:
    found = chimle.score([SAMPLES[0]], [Image.fromarray(TARGETS[0])], weights="random")
    assert "psnr" in found
    assert not [name for name in found if "input_baseline" in name or "agreement" in name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": TARGETS[:2]}, "2 targets for the samples of 3 inputs: give one each"),
        ({"inputs": INPUTS[:1]}, "1 inputs for the samples of 3 inputs: give one each"),
        ({"task": "colourization"}, "`task` measures agreement with inputs: give them by `inputs`"),
        ({"samples": [[], *SAMPLES[1:]]}, "input 0 has no sample: give at least one"),
        (
            {"samples": [[SAMPLES[0][0], SAMPLES[1][0]], *SAMPLES[1:]]},
            "the samples of input 0 are of several sizes",
        ),
        ({"samples": [SAMPLES[0][:1], *SAMPLES[1:]]}, "every input needs equally many"),
        (
            {"task": "colourization", "inputs": [*INPUTS[:2], INPUTS[2][::2, ::2]]},
            "000002: its input has 18x16 pixels and its target 36x32: they must be of one size",
        ),
        (
            {"task": "decompression", "inputs": [*INPUTS[:2], INPUTS[2][::2, ::2]]},
            "they must be of one size",
        ),
        (
            {"task": "super_resolution", "inputs": [t[:2, :2] for t in TARGETS]},
            "000000: its input has 2x2 pixels and its target 34x32: they must be smaller, with the "
            "same aspect",
        ),
        (
            {"inputs": [np.tile(target, (2, 2, 1)) for target in TARGETS]},
            "they must be smaller, with the same aspect",
        ),
        ({"seed": -1}, "`seed` must be a whole number from 0"),
        ({"seed": 1.5}, "`seed` must be a whole number from 0"),
        ({"backbone": "resnet"}, "score: `backbone` = 'resnet'"),
        ({"weights": "nowhere.pth"}, "`weights`: nowhere.pth does not exist"),
        ({"inception": "nowhere.pth"}, "`inception`: nowhere.pth does not exist"),
        ({"samples": [], "targets": []}, "nothing to evaluate"),
        ({"degradation": {"jpeg_quality": 5}}, "`jpeg_quality` changes nothing without a task"),
        (
            {"degradation": {"jpeg_quality": 5}, "inputs": INPUTS, "task": "colourization"},
            "`jpeg_quality` changes nothing for colourization: leave it out",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    arguments = {"samples": SAMPLES, "targets": TARGETS, "weights": "random"}
    with pytest.raises(UserError) as raised:
        chimle.score(**{**arguments, **changes})
    assert message in str(raised.value)


def test_tensors_and_arrays_have_the_same_values() -> None:
    from chimle.images.pyramid import to_tensor

    tensors = [[to_tensor([sample])[0] for sample in samples] for samples in SAMPLES]
    expected = chimle.score(SAMPLES, TARGETS, weights="random")
    assert chimle.score(tensors, TARGETS, weights="random") == expected
    assert np.isfinite(list(expected.values())).all()
