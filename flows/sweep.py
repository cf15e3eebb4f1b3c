"""`sweep`: a small grid of parameters; each point is a DVC experiment on a slot of its own."""

import itertools
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chimle.errors import UserError
from chimle.io.file_locks import locked
from chimle.io.files import write_text
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from flows.git import find_commit, git
from flows.own_files import link_own_files
from flows.project import Project, open_project
from flows.revisions import get_commit
from flows.run_states import emit_end_event, skip_if_ended
from flows.slots import slot
from flows.steps import (
    TaskName,
    check_restarts,
    fail_with_message,
    gather,
    logged,
    retried,
    thread_runner,
)
from flows.training_progress import TrainingProgress

Value = bool | int | float | str
Point = dict[str, Value]
"""One value for each field of the grid."""


def grid_points(grid: dict[str, list[Value]], most: int) -> list[Point]:
    """Every combination of the grid's values, in the order of the grid.

    Raises:
        UserError: the grid is empty or larger than `most`, or a field has no section.
    """
    for field, values in grid.items():
        if len(field.split(".")) < 2 or not all(field.split(".")):
            raise UserError(f"grid: `{field}` must be SECTION.FIELD, as train.learning_rate")
        if not values:
            raise UserError(f"grid: `{field}` has no value: give at least one")
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if not grid or len(points) > most:
        raise UserError(
            f"grid: {len(points) if grid else 0} points, between 1 and {most} are allowed "
            "(flows.yaml: sweep.most_points)"
        )
    return points


def with_point(text: str, name: str, point: Point) -> str:
    """The text of `params.yaml` with a point in a task's sections; comments stay.

    Raises:
        UserError: the text is no such file, or a field lies in no section.
    """
    editor, out = YAML(), StringIO()
    try:
        params = editor.load(text)
        for field, value in point.items():
            *sections, last = field.split(".")
            place = params["tasks"][name]
            for section in sections:
                if place.get(section) is None:
                    place[section] = {}
                place = place[section]
            place[last] = value
        editor.dump(params, out)
    except (YAMLError, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        fields = ", ".join(f"`{field}`" for field in point)
        raise UserError(
            f"params.yaml: {fields} cannot be set for {name}: use fields of its sections, and "
            "check the file with `python -m stages.check`"
        ) from None
    return out.getvalue()


def set_point(root: Path, tree: Path, name: str, point: Point) -> None:
    """Write a point into a task's sections of `params.yaml` in a work tree of `root`.

    The user's own files that its values name are linked into the tree.

    Raises:
        UserError: a field is unknown or a value out of range.
    """
    file = tree / "params.yaml"
    write_text(file, with_point(file.read_text(encoding="utf-8"), name, point))
    link_own_files(root, tree)
    load_settings(RunSettings, name, tree)


def experiment_ref(root: Path, commit: str, experiment: str) -> str:
    """The reference that DVC keeps an experiment of a revision under.

    Raises:
        UserError: an experiment cannot have that name.
    """
    reference = f"refs/exps/{commit[:2]}/{commit[2:]}/{experiment}"
    try:
        git(root, "check-ref-format", reference)
    except UserError:
        reference = ""
    if not reference or "/" in experiment:
        raise UserError(
            f"`{experiment}` cannot be an experiment's name: use letters, digits, `-` and `_` in "
            "`name`"
        )
    return reference


def _same_values(one: str, other: str) -> bool:
    """Whether two texts of `params.yaml` hold the same values; one that is no YAML does not."""
    try:
        return bool(yaml.safe_load(one) == yaml.safe_load(other))
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def refuse_other(root: Path, commit: str, experiment: str, params: str) -> None:
    """Refuse the name of an experiment that a revision has with other parameters.

    With the same parameters it is of a sweep that is repeated, or that starts again.

    Args:
        root: the checkout, or a work tree of it.
        commit: the revision.
        experiment: the name.
        params: text of `params.yaml` that the experiment is to have.

    Raises:
        UserError: there is such an experiment, or none can have that name.
    """
    found = find_commit(root, experiment_ref(root, commit, experiment))
    if found is None:
        return
    if not _same_values(git(root, "show", f"{found}:params.yaml"), params):
        raise UserError(
            f"{commit[:12]} has an experiment `{experiment}` with other parameters: choose another "
            f"`name` for this sweep, or remove the old one with `dvc exp remove {experiment}`"
        )


@task(task_run_name="{experiment}", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def run_point(
    project: Project, name: str, commit: str, experiment: str, point: Point
) -> dict[str, Any]:
    """Run one point in a work tree of its own and save it as a DVC experiment."""
    say = logged(TrainingProgress(experiment).read)
    with ExitStack() as held:
        tree = held.enter_context(project.tree(experiment, commit))
        set_point(project.root, tree.path, name, point)
        lock = held.enter_context(project.training_lock(tree, name, say))
        place = held.enter_context(slot(project.settings.slots, say)).with_lock(lock)
        stall = project.stall_limit(name)
        project.reproduce(tree, [f"evaluate@{name}"], say, slot=place, stall=stall)
        # `dvc exp save` uses Git references that all work trees share.
        message, lock_file = "another experiment is being saved: waiting", "experiments.lock"
        with locked(project.root / "scratch" / lock_file, on_wait=lambda: say(message)):
            # Another sweep may have saved it meanwhile; what was trained stays in the run cache.
            params = (tree.path / "params.yaml").read_text(encoding="utf-8")
            refuse_other(tree.path, commit, experiment, params)
            project.dvc(
                tree, "exp", "save", "--force", "--name", experiment, f"evaluate@{name}", say=say
            )
        changes = project.changes(tree, commit, [name])
    return {"experiment": experiment, **point} | {change.metric: change.now for change in changes}


@emit_end_event
@flow(
    flow_run_name="sweep {name} over {task}",
    task_runner=thread_runner(),
    persist_result=False,
)
@fail_with_message
@skip_if_ended
def sweep(
    task: TaskName,
    grid: dict[str, list[Value]],
    revision: str = "HEAD",
    name: str = "sweep",
) -> State:
    """Train and evaluate one task at every point of a small grid of parameters.

    Each point becomes the DVC experiment `NAME-NUMBER` on the revision: `dvc exp show` compares
    them, `dvc exp apply` applies one. A name that an earlier sweep of the revision gave to other
    points is refused.

    Args:
        task: which one.
        grid: values for fields of the task's sections, such as
            `{"train.learning_rate": [0.001, 0.002]}`.
        revision: branch, tag or hash to start from.
        name: first part of the experiments' names.
    """
    with open_project() as project:
        check_restarts(project.settings.retry)
        commit = get_commit(project.root, revision)
        points = grid_points(grid, project.settings.sweep.most_points)
        named = {f"{name}-{number}": point for number, point in enumerate(points, start=1)}
        params = git(project.root, "show", f"{commit}:params.yaml")
        for experiment, point in named.items():
            refuse_other(project.root, commit, experiment, with_point(params, task, point))
        step = retried(run_point, project.settings.retry)
        rows = gather(
            project,
            [
                step.submit(project, task, commit, experiment, point)
                for experiment, point in named.items()
            ],
        )
        create_table_artifact(rows, key=f"sweep-{task.replace('_', '-')}", description=name)
        return Completed(message=f"{len(rows)} experiments on {commit[:12]}: see `dvc exp show`.")
