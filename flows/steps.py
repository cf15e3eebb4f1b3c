"""Steps that the flows share: error messages, retries, and the training of one task."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from chimle.errors import TransientError, UserError, describe_os_error
from flows.command import CommandError
from flows.flow_settings import RetrySettings
from flows.git_remotes import check_remote, fetch
from flows.project import Project, Say, Span, done_by, noting_stages, now
from flows.server_errors import server_errors
from flows.slots import slot
from flows.training_progress import TrainingProgress
from flows.worktrees import WorkTree

TaskName = Literal["super_resolution", "colourization", "decompression", "night_to_day"]
"""The four tasks; the UI lists them."""

_THREADS = 16

P = ParamSpec("P")
R = TypeVar("R")


class _WithoutTraceback(logging.Filter):
    """Drops what Prefect's engine logs of a failure that has its own message, and the traceback of
    one that another attempt may not meet."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, TransientError):
            record.exc_info = None
        return not isinstance(error, FailedRun)


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_WithoutTraceback())


def fail_with_message(function: Callable[P, R]) -> Callable[P, R | State]:
    """Turn errors that a user can fix into a failed state with a one-line message.

    Raises:
        TransientError: also where the Prefect server does not answer, as while it starts again.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | State:
        try:
            with server_errors(later=TransientError):
                return function(*args, **kwargs)
        except (UserError, CommandError, FailedRun, OSError) as error:
            text = describe_os_error(error) if isinstance(error, OSError) else str(error)
            get_run_logger().error("%s", text)
            return Failed(message=text)

    return wrapper


def is_transient(_task: Any, _run: Any, state: State) -> bool:
    """Whether a failed attempt is to be retried."""
    try:
        state.result()
    except TransientError:
        return True
    except BaseException:  # noqa: BLE001 - a run may have ended by any exception
        return False
    return False


def retried(step: Any, settings: RetrySettings) -> Any:
    """A Prefect task with retries after transient failures, and after no others."""
    delays = settings.delays_seconds
    return step.with_options(
        retries=len(delays), retry_delay_seconds=delays or None, retry_condition_fn=is_transient
    )


def run_inline(step: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a Prefect task in this thread; `FailedRun` with its message if it failed."""
    return _result_of(step(*args, **kwargs, return_state=True))


def _result_of(ended: State | PrefectFuture[Any]) -> Any:
    """What a step returned; `FailedRun` with its message if it failed."""
    try:
        return ended.result()
    except TransientError as error:  # All attempts met it.
        raise FailedRun(str(error)) from None


def gather(project: Project, futures: Sequence[PrefectFuture[Any]]) -> list[Any]:
    """Results of parallel tasks, in order.

    All of them end before the first failure is raised, so that their results are in the cache. If
    the run is cancelled, they are ended at once.
    """
    try:
        for future in futures:
            future.wait()
        return [_result_of(future) for future in futures]
    except BaseException:
        project.commands.stop()
        raise


def thread_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Threads for the tasks of one run, which only wait for slots and processes."""
    return cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=_THREADS))


def check_restarts(settings: RetrySettings) -> None:
    """`UserError` for a run that died too often.

    Raises:
        UserError: the settings do not allow another restart.
    """
    count = flow_run.get_run_count() or 1
    if count > settings.restarts + 1:
        raise UserError(
            f"this run died {count - 1} times, and flows.yaml allows {settings.restarts} restarts: "
            "see its log for the cause, then start a new run"
        )


def logged(*more: Say) -> Say:
    """A function that writes a line to the run's log and passes it to others."""
    logger = get_run_logger()

    def say(line: str) -> None:
        logger.info("%s", line)
        for other in more:
            other(line)

    return say


@task(task_run_name="fetch {remote}", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def fetch_remote(project: Project, remote: str) -> None:
    """Fetch a Git remote's commits."""
    fetch(project.commands, remote)


def fetch_first(project: Project, remote: str | None) -> None:
    """Fetch a Git remote's commits, if one is named, before a run looks for its revision.

    Raises:
        UserError: it is no remote's name.
        FailedRun: it could not be fetched.
    """
    if remote:
        check_remote(project.root, remote)
        run_inline(retried(fetch_remote, project.settings.retry), project, remote)


def _restore_inputs(
    project: Project, tree: WorkTree, name: str, commit: str, dvc_remote: str | None
) -> None:
    """Restore what an evaluation reads; `UserError` where `dvc.lock` or the cache lacks it."""
    stages = (f"train@{name}", f"pair@{name}")
    if dvc_remote:
        project.dvc(tree, "fetch", *stages, say=logged())
    try:
        project.dvc(tree, "checkout", "--quiet", *stages)
    except (CommandError, UserError):
        raise UserError(
            f"the model and the pairs of {name} at {commit[:12]} are not all there: commit the "
            "`dvc.lock` that names them, and name the `dvc_remote` that holds them if DVC's cache "
            "does not; `train` makes them"
        ) from None


@task(task_run_name="train {name}", cache_policy=NO_CACHE, persist_result=False)
@fail_with_message
def train_task(
    project: Project,
    name: str,
    commit: str,
    dvc_remote: str | None = None,
    alone: bool = False,
) -> Span | None:
    """Train and evaluate one task in a work tree of its own, on one slot.

    Args:
        project: the checkout.
        name: the task.
        commit: what to check out.
        dvc_remote: DVC remote to restore from first and to push to afterwards.
        alone: evaluate without training, on data and model from the cache.

    Returns:
        The time on its slot; None if nothing had changed.
    """
    say, target = logged(TrainingProgress(name).read), f"evaluate@{name}"
    with ExitStack() as held:
        tree = held.enter_context(project.tree(name, commit, dvc_remote))
        if project.is_there(tree, [f"train@{name}", target]):
            say(f"{name} has not changed: no slot is needed")
            project.push_results(tree, [target], dvc_remote)
            return None
        lock = held.enter_context(project.training_lock(tree, name, say))
        place = held.enter_context(slot(project.settings.slots, say)).with_lock(lock)
        stall, started = project.stall_limit(name), now()
        say(f"{name} runs on {place}")
        if alone:
            _restore_inputs(project, tree, name, commit, dvc_remote)
            ran = set[str]()
            read = noting_stages(ran, say)
            project.dvc(tree, "repro", "--single-item", target, say=read, slot=place)
        else:
            pull = dvc_remote is not None
            ran = project.reproduce(tree, [target], say, slot=place, pull=pull, stall=stall)
        did, ended = done_by(ran), now()
        span = Span(task=name, did=did, device=str(place), started=started, ended=ended)
        project.push_results(tree, [target], dvc_remote)
    return span
