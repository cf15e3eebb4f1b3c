"""`trim`: remove what is old and can be made again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterEndTime
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, Field

from flows.disk import (
    caches,
    list_usage,
    old_results,
    old_scratch,
    results_as_branches,
    trim_results,
    trim_scratch,
)
from flows.project import Project, open_project
from flows.run_states import emit_end_event, skip_if_ended
from flows.steps import check_restarts, fail_with_message, logged, retried, run_inline
from flows.worktrees import no_run

Days = Annotated[float, Field(ge=0)]
_GC = ("gc", "--all-commits", "--all-experiments", "--force")
"""Keeps what any commit of a branch, a tag or an experiment needs, on this machine alone."""
_PAGE = 200


class Ages(BaseModel):
    """What is old."""

    results_days: float
    """Age of kept results."""
    scratch_days: float
    """Time since something was last written."""
    runs_days: float
    """Time since a run ended."""


def _old_runs(client: SyncPrefectClient, days: float) -> list[str]:
    """The runs that ended before, a page of them at most."""
    before = datetime.now(UTC) - timedelta(days=days)
    ended = FlowRunFilter(end_time=FlowRunFilterEndTime(before_=before))
    found = client.read_flow_runs(flow_run_filter=ended, limit=_PAGE)
    return [str(run.id) for run in found]


def _trim_runs(days: float) -> int:
    count = 0
    with get_client(sync_client=True) as client:
        while old := _old_runs(client, days):
            for run in old:
                client.delete_flow_run(run)  # type: ignore[arg-type]
            count += len(old)
    return count


def _trim_caches(project: Project, *more: str) -> None:
    """Remove from every cache what no project that uses it needs."""
    with results_as_branches(project.root):
        for first, *others in caches(project.root).values():
            shared = ("--projects", *map(str, others)) if others else ()
            project.commands.run(["dvc", *_GC, *more, *shared], first, logged())


@task(task_run_name="trim", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def trim_all(project: Project, ages: Ages, cache: bool) -> str:
    """Remove results, states, runs, and then what DVC's cache needs no more."""
    root, say = project.root, logged()
    with no_run(root, say):
        count = trim_results(root, ages.results_days)
        freed = trim_scratch(root, ages.scratch_days)
        if cache:
            _trim_caches(project)
    runs = _trim_runs(ages.runs_days)
    return f"{count} results, {freed / 2**20:,.1f} MiB of scratch and {runs} runs removed"


def _plan(project: Project, ages: Ages, cache: bool) -> str:
    """What `trim_all` would remove."""
    root, say = project.root, logged()
    units = old_scratch(root, ages.scratch_days)
    for unit in units:
        say(f"would remove {unit.relative_to(root)}")
    old = old_results(root, ages.results_days)
    for name in old:
        say(f"would remove {name}")
    if cache:
        _trim_caches(project, "--dry")
    with get_client(sync_client=True) as client:
        runs = len(_old_runs(client, ages.runs_days))
    more = " or more" if runs == _PAGE else ""
    return f"{len(old)} results, {len(units)} entries of scratch and {runs}{more} runs would go"


@emit_end_event
@flow(flow_run_name="trim", persist_result=False)
@fail_with_message
@skip_if_ended
def trim(
    results_days: Days = 90,
    scratch_days: Days = 30,
    runs_days: Days = 90,
    cache: bool = True,
    dry_run: bool = False,
) -> State:
    """Remove what is old and can be made again, on this machine alone.

    While other runs work here, it is tried again after the delays of `retry`, and then fails.
    `python -m flows.disk` lists what there is.

    Args:
        results_days: kept results of revisions that are older; those on a branch stay there.
        scratch_days: states, downloads and unfinished work without a change for so long.
        runs_days: runs that ended before, with their logs, on the Prefect server.
        cache: remove files of DVC's caches that no commit, experiment or kept result needs.
        dry_run: say what would be removed, and remove nothing.
    """
    ages = Ages(results_days=results_days, scratch_days=scratch_days, runs_days=runs_days)
    with open_project() as project:
        check_restarts(project.settings.retry)
        if dry_run:
            return Completed(message=f"{_plan(project, ages, cache)}.")
        before = {usage.name: usage.row() for usage in list_usage(project.root)}
        done = run_inline(retried(trim_all, project.settings.retry), project, ages, cache)
        after = {usage.name: usage.row()["size"] for usage in list_usage(project.root)}
        rows = [{**row, "after": after.get(name, "none")} for name, row in before.items()]
        create_table_artifact(rows, key="disk", description="Before and after.")
        return Completed(message=f"{done}.")
