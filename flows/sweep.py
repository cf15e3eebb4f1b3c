"""`sweep`: a small grid of parameters; each point is a DVC experiment on a slot of its own."""

import itertools
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from ruamel.yaml import YAML

from chimle.errors import UserError
from chimle.io.files import locked, write_text
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
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


def set_point(root: Path, name: str, point: Point) -> None:
    """Write a point into a task's sections of `params.yaml`; comments stay.

    Raises:
        UserError: a field is unknown or a value out of range.
    """
    yaml, file = YAML(), root / "params.yaml"
    params = yaml.load(file.read_text(encoding="utf-8"))
    for field, value in point.items():
        *sections, last = field.split(".")
        place = params["tasks"][name]
        for section in sections:
            if place.get(section) is None:
                place[section] = {}
            place = place[section]
        place[last] = value
    text = StringIO()
    yaml.dump(params, text)
    write_text(file, text.getvalue())
    load_settings(RunSettings, name, root)


@task(task_run_name="{experiment}", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def run_point(
    project: Project, name: str, commit: str, experiment: str, point: Point
) -> dict[str, Any]:
    """Run one point in a work tree of its own and save it as a DVC experiment."""
    say = logged(TrainingProgress(experiment).read)
    with ExitStack() as held:
        tree = held.enter_context(project.tree(experiment, commit))
        set_point(tree.path, name, point)
        lock = held.enter_context(project.training_lock(tree, name, say))
        place = held.enter_context(slot(project.settings.slots, say)).with_lock(lock)
        stall = project.stall_limit(name)
        project.reproduce(tree, [f"evaluate@{name}"], say, slot=place, stall=stall)
        # `dvc exp save` uses Git references that all work trees share.
        message, lock_file = "another experiment is being saved: waiting", "experiments.lock"
        with locked(project.root / "scratch" / lock_file, on_wait=lambda: say(message)):
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
    them, `dvc exp apply` applies one.

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
        step = retried(run_point, project.settings.retry)
        rows = gather(
            project,
            [
                step.submit(project, task, commit, f"{name}-{number}", point)
                for number, point in enumerate(points, start=1)
            ],
        )
        create_table_artifact(rows, key=f"sweep-{task.replace('_', '-')}", description=name)
        return Completed(message=f"{len(rows)} experiments on {commit[:12]}: see `dvc exp show`.")
