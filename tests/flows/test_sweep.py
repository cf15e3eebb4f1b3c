"""A sweep never overwrites another one's experiments."""

import shutil
from pathlib import Path

import pytest
import yaml

from chimle.errors import UserError
from flows.git import git
from flows.sweep import experiment_ref, refuse_other, set_point, with_point
from tests.support.helpers import ROOT
from tests.support.repositories import TASKS, commit, outputs, run, tiny_repository
from tests.support.stack import add_flows

TASK = TASKS[1]
PARAMS = yaml.safe_dump({"tasks": {TASK: {"train": {"rounds": 2}}}})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with parameters alone."""
    run(tmp_path, "git", "init", "-q", "-b", "main")
    (tmp_path / "params.yaml").write_text(PARAMS)
    commit(tmp_path, "start")
    return tmp_path


def test_only_the_same_point_may_have_an_experiments_name(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    one, other = (with_point(PARAMS, TASK, {"train.rounds": rounds}) for rounds in (3, 4))
    refuse_other(root, first, "sweep-1", other)
    (root / "params.yaml").write_text(one)
    saved = commit(root, "experiment")
    git(root, "update-ref", experiment_ref(root, first, "sweep-1"), saved)
    refuse_other(root, first, "sweep-1", one)
    refuse_other(root, first, "sweep-2", other)
    refuse_other(root, saved, "sweep-1", other)
    with pytest.raises(UserError, match="`sweep-1` with other parameters: choose another `name`"):
        refuse_other(root, first, "sweep-1", other)


@pytest.mark.parametrize("name", ["a/b", "a b", "..", "a~1", "", "/", "a^{commit}", "a:b", "@{1}"])
def test_names_that_no_experiment_can_have_are_refused(root: Path, name: str) -> None:
    first = git(root, "rev-parse", "HEAD")
    with pytest.raises(UserError, match="cannot be an experiment's name"):
        refuse_other(root, first, name, PARAMS)


@pytest.mark.parametrize("field", ["train.rounds.more", "train.rounds.more.still"])
def test_a_field_below_a_number_is_one_sentence(field: str) -> None:
    with pytest.raises(UserError, match=f"`{field}` cannot be set for {TASK}"):
        with_point(PARAMS, TASK, {field: 1})
    with pytest.raises(UserError, match="cannot be set"):
        with_point("tasks: {", TASK, {"train.rounds": 1})


def test_files_that_a_point_names_are_in_its_work_tree(tmp_path: Path) -> None:
    root, tree = tmp_path / "root", tmp_path / "tree"
    shutil.copytree(ROOT / "presets", tree / "presets")
    (tree / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (root / "own").mkdir(parents=True)
    (root / "own" / "model.zip").write_bytes(b"a model")
    set_point(root, tree, TASK, {"train.start": "own/model.zip", "train.rounds": 3})
    assert (tree / "own" / "model.zip").read_bytes() == b"a model"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_second_sweep_of_one_name_is_refused_before_it_trains(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path / "project")
    add_flows(root)
    home = {"PREFECT_HOME": str(tmp_path / "prefect")}

    def sweep(rate: float, check: bool = True) -> str:
        words = [f"task={TASK}", f'grid={{"train.learning_rate": [{rate}]}}']
        return run(root, "python", "-m", "flows", "sweep", *words, check=check, env=home)

    def saved() -> dict[str, str]:
        """Hash of the model of every experiment."""
        listed = run(root, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
        found = {name.rpartition("/")[2]: name for name in listed}
        return {
            name: outputs(git(root, "show", f"{reference}:dvc.lock"))[f"models/{TASK}"]
            for name, reference in found.items()
            if name.startswith("sweep")
        }

    sweep(0.001)
    first = saved()
    assert set(first) == {"sweep-1"}
    refused = sweep(0.004, check=False)
    assert "error: " in refused
    assert "`sweep-1` with other parameters" in refused
    assert "Running stage" not in refused
    assert saved() == first
    again = sweep(0.001)
    assert "Running stage 'train@" not in again
    assert saved() == first
