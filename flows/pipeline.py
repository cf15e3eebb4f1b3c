"""`pipeline`: fetch, pair, train, evaluate, compare and publish one revision."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import BaseModel, Field

from chimle.errors import TransientError, UserError
from chimle.tasks import TASKS
from flows import publish
from flows.compare import MetricChange, gate_rejection
from flows.flow_settings import GateSettings
from flows.git import find_commit
from flows.project import Project, Span, open_project
from flows.remote_runs import check_deployment, run_elsewhere
from flows.revisions import check_branch, get_commit, message, results_ref
from flows.run_states import NOT_PUBLISHED, NOTHING_CHANGED, emit_end_event, skip_if_ended
from flows.run_summary import write_summary
from flows.steps import (
    TaskName,
    check_restarts,
    fail_with_message,
    fetch_first,
    gather,
    logged,
    retried,
    run_inline,
    thread_runner,
    train_task,
)
from flows.training import write_spans
from flows.worktrees import WorkTree


class Plan(BaseModel):
    """The request of a run, with every name resolved to a commit or task."""

    tasks: list[str]
    """To train and evaluate."""
    commit: str
    """The revision."""
    base: str
    """Commit to compare with."""
    options: publish.PublishOptions
    """What to do with results that pass the gate."""

    @property
    def evaluations(self) -> list[str]:
        """The last stages of the tasks; with the report if all tasks are run."""
        last = [f"evaluate@{name}" for name in self.tasks]
        return [*last, "report"] if set(self.tasks) == set(TASKS) else last


@task(task_run_name="look for changes", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def is_current(project: Project, tree: WorkTree, plan: Plan) -> bool:
    """Whether the results in a work tree are those of its code, parameters and sources."""
    return project.is_current(tree, plan.evaluations)


@task(task_run_name="fetch and pair", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def prepare(project: Project, tree: WorkTree, plan: Plan) -> None:
    """Fetch and pair the data of all tasks, before their trainings read it."""
    pairs, remote = [f"pair@{name}" for name in plan.tasks], plan.options.dvc_remote
    project.reproduce(tree, pairs, logged(), pull=remote is not None)
    project.push_results(tree, pairs, remote)


@task(task_run_name="train {name} elsewhere", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def train_elsewhere(name: str, deployment: str, plan: Plan, git_remote: str | None) -> None:
    """Train a task in another deployment; its result comes over the DVC remote."""
    parameters: dict[str, Any] = {
        "task": name,
        "revision": plan.commit,
        "dvc_remote": plan.options.dvc_remote,
    }
    if git_remote:
        parameters["git_remote"] = git_remote
    # The flow that starts again after its process died takes up the run that it had started.
    state = run_elsewhere(deployment, parameters, f"{flow_run.get_id()}-{plan.commit}-{name}")
    if not state.is_completed():
        raise UserError(f"{deployment} did not train {name}: {state.message or state.name}")


@task(task_run_name="collect", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def collect(project: Project, tree: WorkTree, plan: Plan) -> list[MetricChange]:
    """Restore all results into the coordinator's tree, write the report, compare the metrics."""
    pull = plan.options.dvc_remote is not None
    project.reproduce(tree, plan.evaluations, logged(), pull=pull)
    return project.changes(tree, plan.base, plan.tasks)


@task(task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def release(project: Project, tree: WorkTree, plan: Plan) -> publish.Release:
    """Push data, models and run cache; upload bundles; move the branch."""
    project.push_results(tree, plan.evaluations, plan.options.dvc_remote)
    return publish.publish(project, tree, plan.tasks, plan.commit, plan.options, logged())


def _plan(
    project: Project,
    tasks: Sequence[str] | None,
    revision: str,
    base: str | None,
    options: publish.PublishOptions,
) -> Plan:
    root = project.root
    commit = get_commit(root, revision)
    if options.branch:
        check_branch(root, options.branch)
    if base:
        against = get_commit(root, base)
    else:
        tip = find_commit(root, f"refs/heads/{options.branch}") if options.branch else None
        against = tip or commit
    chosen = [name for name in TASKS if not tasks or name in tasks]
    return Plan(tasks=chosen, commit=commit, base=against, options=options)


def _request_line(plan: Plan) -> str:
    """The request as one line of a results commit's message."""
    request = {"tasks": plan.tasks, **plan.options.model_dump()}
    return "Request: " + json.dumps(request, sort_keys=True)


def _gate_line(plan: Plan, gate: GateSettings) -> str:
    """What the gate decides by as one line of a results commit's message."""
    return "Gate: " + json.dumps({"base": plan.base, **gate.model_dump()}, sort_keys=True)


def _earlier_outcome(project: Project, plan: Plan) -> str | None:
    """Outcome of an earlier run with the same revision and options.

    A refusal counts only for the same base and settings of the gate.
    """
    results = find_commit(project.root, results_ref(plan.commit))
    if results is None:
        return "" if plan.options == publish.PublishOptions() else None
    lines = message(project.root, results).splitlines()
    wanted = {_request_line(plan)}
    if lines[0].startswith(NOT_PUBLISHED):
        wanted.add(_gate_line(plan, project.settings.gate))
    return lines[0] if wanted <= set(lines) else None


def _train_all(
    project: Project, plan: Plan, commit: str, deployment: str | None, git_remote: str | None
) -> list[Span]:
    retry = project.settings.retry
    if deployment:
        step = retried(train_elsewhere, retry)
        futures = [step.submit(name, deployment, plan, git_remote) for name in plan.tasks]
    else:
        step, remote = retried(train_task, retry), plan.options.dvc_remote
        futures = [step.submit(project, name, commit, remote) for name in plan.tasks]
    return [span for span in gather(project, futures) if span is not None]


def _write_changes(changes: Sequence[MetricChange]) -> None:
    create_table_artifact(
        [change.row() for change in changes],
        key="metric-changes",
        description="Metrics beside those of the base revision.",
    )


@emit_end_event
@flow(
    flow_run_name="pipeline of {revision}",
    task_runner=thread_runner(),
    persist_result=False,
)
@fail_with_message
@skip_if_ended
def pipeline(
    tasks: Annotated[list[TaskName] | None, Field(title="tasks")] = None,
    revision: str = "HEAD",
    base: str | None = None,
    branch: str | None = None,
    git_remote: str | None = None,
    dvc_remote: str | None = None,
    bundles: str | None = None,
    license: str | None = None,  # noqa: A002 - the deployments' parameter
    train_deployment: str | None = None,
    ignore_gate: bool = False,
) -> State:
    """Bring a revision's results up to date, compare them, and publish those that pass the gate.

    Tasks are trained in parallel, as many at once as the server has GPU slots. What has not
    changed is not run again.

    Args:
        tasks: those to train and evaluate; all if empty.
        revision: branch, tag or hash to run; a checkout's uncommitted changes do not count.
        base: commit to compare the metrics with; by default the branch's tip, else the metrics
            that the revision itself has committed.
        branch: local branch that `dvc.lock`, metrics and curves are committed to; none by default.
        git_remote: Git remote to fetch from first, and to push the branch to.
        dvc_remote: DVC remote to restore from first, and to push data, models and run cache to.
        bundles: `s3://BUCKET/PREFIX` to upload each model to, under a version of its own.
        license: SPDX identifier of the weights' license; needed with `bundles`.
        train_deployment: deployment of `train` that trains instead, such as `train/gpu`, so that
            other machines do it; needs `dvc_remote`.
        ignore_gate: publish although the gate refuses, as once after a change of its metric.
    """
    options = publish.PublishOptions(
        branch=branch,
        git_remote=git_remote,
        dvc_remote=dvc_remote,
        bundles=bundles,
        license=license,
    )
    if train_deployment and not dvc_remote:
        raise UserError("`train_deployment` needs `dvc_remote`, over which the results come")
    if train_deployment:
        with suppress(TransientError):  # Where it is needed, it is asked for again.
            check_deployment(train_deployment)
    with open_project() as project:
        check_restarts(project.settings.retry)
        fetch_first(project, git_remote)
        plan = _plan(project, tasks, revision, base, options)
        start = find_commit(project.root, results_ref(plan.commit)) or plan.commit
        with project.tree("coordinator", start, dvc_remote) as tree:
            earlier = _earlier_outcome(project, plan)
            again = earlier is None or (ignore_gate and earlier.startswith(NOT_PUBLISHED))
            look = retried(is_current, project.settings.retry)
            if not again and run_inline(look, project, tree, plan):
                return _unchanged(plan, earlier or "")
            return _run(project, tree, plan, start, train_deployment, ignore_gate)


def _unchanged(plan: Plan, earlier: str) -> State:
    """The final state of a run whose results are there already."""
    before = f" The run before: {earlier}" if earlier else ""
    message = f"Nothing changed since {plan.commit[:12]} was run.{before}"
    if earlier.startswith(NOT_PUBLISHED):
        return Failed(name=NOT_PUBLISHED, message=message)
    return Completed(name=NOTHING_CHANGED, message=message)


def _run(
    project: Project,
    tree: WorkTree,
    plan: Plan,
    start: str,
    deployment: str | None,
    ignore_gate: bool,
) -> State:
    """All steps, from data to publication."""
    retry, logger = project.settings.retry, get_run_logger()
    run_inline(retried(prepare, retry), project, tree, plan)
    spans = _train_all(project, plan, start, deployment, plan.options.git_remote)
    changes = run_inline(retried(collect, retry), project, tree, plan)
    _write_changes(changes)
    if spans:
        write_spans("times", spans)
    gate = project.settings.gate
    rejections = [r for name in plan.tasks if (r := gate_rejection(changes, name, gate))]
    for rejection in rejections:
        logger.warning("%s", rejection)
    released = publish.Release()
    refused = rejections and not ignore_gate
    if refused:
        outcome = f"Not published: {'; '.join(rejections)}."
    else:
        released = run_inline(retried(release, retry), project, tree, plan)
        outcome = released.sentence(plan.options)
    create_markdown_artifact(
        write_summary(
            tree.path,
            plan.tasks,
            changes,
            project.settings.images,
            revision=plan.commit,
            base=plan.base,
            outcome=outcome,
            bundles=released.bundles,
        ),
        key="summary",
        description=outcome,
    )
    publish.record(
        project, tree, plan.commit, outcome, [_request_line(plan), _gate_line(plan, gate)]
    )
    if refused and plan.options != publish.PublishOptions():
        return Failed(name=NOT_PUBLISHED, message=outcome)
    return Completed(message=outcome)
