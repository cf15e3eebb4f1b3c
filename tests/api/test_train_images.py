"""`chimle.train`: images in memory become a model; wrong ones are named in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import chimle
from chimle.api.train_images import SECTIONS
from chimle.errors import UserError
from chimle.images.degrade import grey
from chimle.tasks import TASKS
from tests.support.projects import TINY, noise_image

SETTINGS: dict[str, Any] = {name: TINY[name] for name in SECTIONS}
IMAGES = [noise_image((32 + number, 40)) for number in range(5)]


@pytest.mark.parametrize("task", TASKS)
def test_a_trained_model_samples_and_is_saved(tmp_path: Path, task: str) -> None:
    trained = chimle.train(IMAGES, task, SETTINGS)
    steps = TINY["train"]["rounds"] * TINY["train"]["steps_per_round"]
    assert trained.curve["step"][-1] == steps
    assert {len(values) for values in trained.curve.values()} == {len(trained.curve["step"])}
    given = trained.model.degraded(IMAGES[0])
    samples = trained.model.sample(given, n=2)
    assert not np.array_equal(samples[0], samples[1])
    trained.model.save(tmp_path / "model", "CC0-1.0")
    loaded = chimle.load(tmp_path / "model")
    assert loaded.bundle.license == "CC0-1.0"
    assert np.array_equal(np.stack(loaded.sample(given, n=2)), np.stack(samples))
    loaded.save(tmp_path / "copy")
    for name in ("bundle.json", "weights.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_a_time_that_is_up_at_once_leaves_a_model_and_its_curve() -> None:
    settings = {**SETTINGS, "train": {**SETTINGS["train"], "seconds": 1e-9}}
    trained = chimle.train(IMAGES, "colourization", settings)
    assert trained.curve["step"] == [1]
    assert len(trained.curve["loss"]) == 1


def test_images_settings_and_seed_determine_the_model() -> None:
    weights = [
        chimle.train(images, "colourization", SETTINGS, seed=seed).model.bundle.tower.state_dict()
        for images, seed in (
            (IMAGES, 0),
            ([Image.fromarray(image) for image in IMAGES], 0),
            (IMAGES, 1),
            (IMAGES[1:], 0),
        )
    ]
    same = [all(torch.equal(weights[0][name], own[name]) for name in own) for own in weights]
    assert same == [True, True, False, False]


def test_given_inputs_are_those_of_the_degradation() -> None:
    square = [image[:32, :32] for image in IMAGES]
    made = chimle.train(square, "colourization", SETTINGS)
    given = chimle.train(square, "colourization", SETTINGS, inputs=[grey(one) for one in square])
    assert given.curve == made.curve


def test_images_of_one_size_may_be_one_array_or_tensor() -> None:
    batch = np.stack([image[:32, :32] for image in IMAGES])
    tensor = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    settings = {**SETTINGS, "train": {**SETTINGS["train"], "rounds": 1}}
    wanted = chimle.train(list(batch), "colourization", settings, inputs=list(batch)).model
    for images in (batch, tensor):
        found = chimle.train(images, "colourization", settings, inputs=images).model
        assert found.bundle.provenance == wanted.bundle.provenance
    with pytest.raises(UserError, match="there is no image to train on"):
        chimle.train(batch[:0], "colourization", settings)


def test_the_model_remembers_its_degradation() -> None:
    trained = chimle.train(
        IMAGES, "decompression", SETTINGS, degradation={"jpeg_quality": 40}
    ).model
    assert trained.bundle.degradation == {"jpeg_quality": 40}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "there is no image to train on: give at least one"),
        (
            {"images": [IMAGES[0], noise_image((20, 50))]},
            "image 1 has 50x20 pixels, fewer than 32x32: leave it out or lower `tower.resolution`",
        ),
        (
            {"inputs": IMAGES[:2]},
            "2 inputs for 5 images: every image needs its own input",
        ),
        (
            {"inputs": [*IMAGES[:4], noise_image((32, 80))]},
            "input 4 (80x32) has another shape than image 4 (40x36): crop one of them",
        ),
        (
            {"settings": {"pair": {}}},
            "settings: unknown section `pair`: use tower, perceptual, search, train",
        ),
        (
            {"settings": {"train": {"round": 3}}},
            "settings: unknown parameter `train.round`: remove it or fix its spelling",
        ),
        ({"settings": {"train": None}}, "settings: `train`"),
        ({"task": "colours"}, "unknown task 'colours'"),
        (
            {"degradation": {"quality": 3}},
            "degradation: unknown parameter `quality`: remove it or fix its spelling",
        ),
        (
            {"degradation": {"jpeg_quality": 3}},
            "degradation: `jpeg_quality` changes nothing for colourization: leave it out",
        ),
        (
            {"task": "decompression", "degradation": {"jpeg_quality": 3, "night_noise": 0.1}},
            "degradation: `night_noise` changes nothing for decompression: leave it out",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    arguments = {"images": IMAGES, "task": "colourization", "settings": SETTINGS}
    with pytest.raises(UserError) as raised:
        chimle.train(**{**arguments, **changes})
    assert message in str(raised.value)


def test_a_diverged_training_names_no_file_that_is_gone() -> None:
    settings = {**SETTINGS, "train": {**SETTINGS["train"], "learning_rate": 1e30}}
    with pytest.raises(UserError, match=r"lower `train\.learning_rate`$"):
        chimle.train(IMAGES, "colourization", settings)


@pytest.mark.parametrize("tower", [None, [8, 8], 3])
def test_a_tower_that_is_no_mapping_is_named(tower: Any) -> None:
    settings = {"tower": tower, "train": {"start": "pretrained"}}
    with pytest.raises(UserError, match="settings: `tower` = "):
        chimle.train(IMAGES, "colourization", settings)


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="takes a PIL image"):
        chimle.train(["photo.png"], "colourization", SETTINGS)  # type: ignore[list-item]
