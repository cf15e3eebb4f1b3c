"""Fine-tuning: a training starts from the weights of another model, whose sizes it must have."""

from pathlib import Path
from typing import Any

import pytest
import torch

import chimle
from chimle.api.train_images import SECTIONS
from chimle.bundles.start_weights import load_start
from chimle.bundles.task_models import pretrained_tasks, start_address
from chimle.cli.describe import describe
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.tasks import TASKS
from tests.support.projects import TINY, noise_image

IMAGES = [noise_image((32 + number, 40)) for number in range(5)]


def settings(**train: Any) -> dict[str, Any]:
    """Sections of a tiny training with fields of `train`."""
    return {name: TINY[name] for name in SECTIONS} | {"train": TINY["train"] | train}


def model_settings(task: str, **train: Any) -> ModelSettings:
    values = {**settings(**train), "task": task, "preset": "none", "seed": 0}
    return build_settings(ModelSettings, values, "settings")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for night to day."""
    folder = tmp_path_factory.mktemp("night") / "model"
    chimle.train(IMAGES, "night_to_day", settings(), seed=1).model.save(folder)
    return folder


def test_training_goes_on_from_the_weights(night: Path) -> None:
    hardly = {"rounds": 1, "steps_per_round": 1, "learning_rate": 1e-12, "start": str(night)}
    first = chimle.load(night).bundle.tower.state_dict()
    tuned = chimle.train(IMAGES, "night_to_day", settings(**hardly)).model.bundle
    for name, value in tuned.tower.state_dict().items():
        assert torch.allclose(value, first[name], atol=1e-6), name
    fresh = chimle.train(IMAGES, "night_to_day", settings(**hardly | {"start": "scratch"}))
    weights = fresh.model.bundle.tower.state_dict()
    assert not all(torch.allclose(weights[name], first[name], atol=1e-6) for name in first)


def test_the_provenance_names_the_weights(night: Path, tmp_path: Path) -> None:
    start = load_start(model_settings("night_to_day", start=str(night)))
    assert start is not None
    model = chimle.train(IMAGES, "night_to_day", settings(start=str(night))).model
    tuned = model.bundle
    assert tuned.provenance["start_sha256"] == start.sha256
    assert tuned.settings.train.start == str(night)
    model.save(tmp_path / "tuned")
    assert describe(tmp_path / "tuned")["start_sha256"] == start.sha256
    fresh = chimle.train(IMAGES, "night_to_day", settings()).model.bundle
    assert "start_sha256" not in fresh.provenance


def test_a_model_of_another_task_with_the_same_wiring_will_do(night: Path) -> None:
    assert load_start(model_settings("decompression", start=str(night))) is not None


def test_fields_of_the_tower_come_from_the_model(night: Path) -> None:
    sections = settings(start=str(night), rounds=1, steps_per_round=1)
    del sections["tower"]
    tuned = chimle.train(IMAGES, "night_to_day", sections).model.bundle
    assert tuned.settings.tower == chimle.load(night).bundle.settings.tower


@pytest.mark.parametrize("task", TASKS)
def test_every_pretrained_model_can_be_started_from(task: str) -> None:
    assert task in pretrained_tasks()
    address = start_address("pretrained", task)
    assert address is not None
    assert start_address(f"pretrained:{task}", "super_resolution") == address
    tower = chimle.load(address).bundle.settings.tower.model_dump(mode="json")
    values = {**settings(start="pretrained"), "tower": {**tower, "resolution": 64}}
    start = load_start(
        build_settings(
            ModelSettings, {**values, "task": task, "preset": "none", "seed": 0}, "settings"
        )
    )
    assert start is not None
    assert all(value.dtype == torch.float32 for value in start.state.values())


def test_a_pretrained_model_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"`train\.start`: no model for `painting` .*use scratch"):
        start_address("pretrained:painting", "colourization")


def test_what_does_not_fit_is_named(night: Path, tmp_path: Path) -> None:
    wider = settings(start=str(night))
    wider["tower"] = wider["tower"] | {"blocks": 2}
    with pytest.raises(UserError, match=r"has `tower.blocks` 1, these settings have 2"):
        chimle.train(IMAGES, "night_to_day", wider)
    with pytest.raises(UserError, match="wired otherwise than that for colourization"):
        chimle.train(IMAGES, "colourization", settings(start=str(night)))
    missing = tmp_path / "nothing"
    with pytest.raises(UserError, match="does not exist: there is no model bundle"):
        chimle.train(IMAGES, "night_to_day", settings(start=str(missing)))
