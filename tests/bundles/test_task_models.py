"""Models by the name of a task: the project's own comes first, else a small pretrained one."""

from pathlib import Path

import numpy as np
import pytest

import chimle
from chimle.bundles.task_models import (
    PRETRAINED,
    named_model,
    packaged_model,
    pretrained_tasks,
    task_model,
)
from chimle.errors import UserError
from chimle.images.colour import lightness
from chimle.images.pyramid import reduce, to_tensor
from chimle.tasks import TASKS, get_task
from tests.support.projects import noise_image, tiny_bundle


@pytest.mark.parametrize("task", pretrained_tasks())
def test_a_pretrained_model_is_small_and_samples_differ(task: str) -> None:
    assert (PRETRAINED / f"{task}.zip").stat().st_size <= 2 * 2**20
    model = chimle.load(task)
    assert model.bundle.settings.task == task
    given = reduce(noise_image((64, 64)), (16, 16))
    grey = np.repeat(given[..., :1], 3, axis=2)
    inputs = grey if task == "colourization" else given
    first, second = model.sample(inputs, n=2)
    factor = get_task(task).reduction
    assert first.shape == (16 * factor, 16 * factor, 3)
    assert not np.array_equal(first, second)
    if factor > 1:
        gap = reduce(first, (16, 16)).astype(float) - inputs
        assert np.abs(gap).mean() < 1
    if task == "colourization":
        gaps = lightness(to_tensor([first])) - lightness(to_tensor([inputs]))
        assert float(gaps.abs().mean()) * 100 <= 0.15


def test_the_projects_own_model_comes_first(tmp_path: Path) -> None:
    task = pretrained_tasks()[0]
    assert task_model(task, tmp_path) == PRETRAINED / f"{task}.zip"
    own = tiny_bundle(tmp_path / "models" / task, task)
    assert task_model(task, tmp_path) == Path(own)


@pytest.mark.parametrize("task", pretrained_tasks())
def test_the_pretrained_model_has_an_address_of_its_own(tmp_path: Path, task: str) -> None:
    own = str(tiny_bundle(tmp_path / "models" / task, task))
    assert named_model(task, tmp_path) == own
    assert named_model(f"pretrained:{task}", tmp_path) == str(packaged_model(task))
    assert named_model(own, tmp_path) == own
    assert named_model(f"s3://bucket/{task}", tmp_path) == f"s3://bucket/{task}"
    (tmp_path / task).mkdir()
    assert named_model(task, tmp_path) == task, "a path of that name is a path"


@pytest.mark.parametrize("task", ["painting", "", "../colourization"])
def test_an_address_of_no_pretrained_model_names_those_there_are(task: str) -> None:
    with pytest.raises(UserError, match=f"no model for `{task}` is in the package.*colourization"):
        named_model(f"pretrained:{task}")


def test_a_task_without_a_model_is_named(tmp_path: Path) -> None:
    for task in set(TASKS) - set(pretrained_tasks()):
        with pytest.raises(UserError, match=f"no model for `{task}`"):
            task_model(task, tmp_path)
    with pytest.raises(UserError, match="unknown task"):
        task_model("painting", tmp_path)
