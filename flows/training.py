"""`train` and `evaluate`: one task on one slot, by hand or for a pipeline on another machine."""

from collections.abc import Sequence

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.project import Span, open_project
from flows.revisions import get_commit
from flows.run_states import NOTHING_CHANGED, emit_end_event, skip_if_ended
from flows.steps import (
    TaskName,
    check_restarts,
    fail_with_message,
    fetch_first,
    retried,
    run_inline,
    train_task,
)


def write_spans(key: str, spans: Sequence[Span]) -> None:
    """Write when each task had its slot, as a table."""
    create_table_artifact(
        [span.model_dump(mode="json") for span in spans],
        key=key,
        description="When each task had its slot, and on which device.",
    )


def _one(
    task: str, revision: str, git_remote: str | None, dvc_remote: str | None, alone: bool
) -> State:
    """Train and evaluate one task, or evaluate it alone."""
    with open_project() as project:
        retry = project.settings.retry
        fetch_first(project, git_remote)
        check_restarts(retry)
        commit = get_commit(project.root, revision)
        step = retried(train_task, retry)
        span = run_inline(step, project, task, commit, dvc_remote, alone=alone)
    if span is None:
        return Completed(name=NOTHING_CHANGED, message=f"{task} is up to date at {commit[:12]}.")
    write_spans(f"times-{task.replace('_', '-')}", [span])
    if span.did == "restored":
        return Completed(message=f"Restored {task} at {commit[:12]}: it had been computed before.")
    return Completed(message=f"{span.did.capitalize()} {task} at {commit[:12]} on {span.device}.")


@emit_end_event
@flow(flow_run_name="train {task}", persist_result=False)
@fail_with_message
@skip_if_ended
def train(
    task: TaskName,
    revision: str = "HEAD",
    git_remote: str | None = None,
    dvc_remote: str | None = None,
) -> State:
    """Train and evaluate one task on one GPU slot.

    A result in the cache is restored. A new one is put into the shared cache, from which
    `dvc repro` at the same revision restores it; with `dvc_remote` also on that remote.

    Args:
        task: which one.
        revision: branch, tag or hash to run.
        git_remote: Git remote to fetch from first.
        dvc_remote: DVC remote to restore from first and to push the result to.
    """
    return _one(task, revision, git_remote, dvc_remote, alone=False)


@emit_end_event
@flow(flow_run_name="evaluate {task}", persist_result=False)
@fail_with_message
@skip_if_ended
def evaluate(
    task: TaskName,
    revision: str = "HEAD",
    git_remote: str | None = None,
    dvc_remote: str | None = None,
) -> State:
    """Evaluate one task's model on one GPU slot, without training.

    Args:
        task: which one.
        revision: branch, tag or hash whose `dvc.lock` names the model and the pairs.
        git_remote: Git remote to fetch from first.
        dvc_remote: DVC remote to fetch model and pairs from, and to push the result to.
    """
    return _one(task, revision, git_remote, dvc_remote, alone=True)
