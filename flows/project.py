"""A project: its checkout, its settings, and DVC commands in work trees of it."""

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from pydantic import BaseModel

from chimle.errors import TransientError, UserError
from chimle.io.file_locks import locked
from flows.command import CommandError, Commands
from flows.compare import MetricChange, read_changes
from flows.flow_settings import FlowSettings, load_flow_settings
from flows.git import git
from flows.revisions import project_root
from flows.slots import Slot
from flows.stall import StallLimit
from flows.worktrees import (
    WorkTree,
    ask_dvc,
    remove_orphaned,
    set_default_remote,
    training_key,
    work_tree,
)

Say = Callable[[str], None]


_HINTS = re.compile(
    r"(To (track|enable)|Use `dvc push`|\s+(git add|dvc config) |(Updat|Generat)ing lock)"
)
"""Hints of DVC for work by hand, which a flow does itself."""


def quiet(line: str) -> None:
    """Drop a line; a failure still quotes the last ones."""


def _without_hints(say: Say) -> Say:
    return lambda line: None if _HINTS.match(line) else say(line)


_RUNS = re.compile(r"Running stage '(?P<stage>[^'@]+)")
"""DVC's line for a stage that it runs, and does not restore."""


def noting_stages(ran: set[str], say: Say) -> Say:
    """A function that adds the name of each stage that DVC runs to `ran`, and passes lines on."""

    def read(line: str) -> None:
        if found := _RUNS.match(line):
            ran.add(found["stage"])
        say(line)

    return read


class Span(BaseModel):
    """When and where something ran."""

    task: str
    """The chimle task."""
    did: str
    """What was done: `trained and evaluated`, `evaluated` or `restored`."""
    device: str
    """The CUDA device, or the CPU."""
    started: datetime
    """When the slot was taken."""
    ended: datetime
    """When the slot was given back."""


def done_by(ran: Collection[str]) -> str:
    """`Span.did` of the stages that ran."""
    if "train" in ran:
        return "trained and evaluated"
    return "evaluated" if "evaluate" in ran else "restored"


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


class Project:
    """A checkout and the commands of one flow run in work trees of it."""

    def __init__(self, root: Path, settings: FlowSettings) -> None:
        self.root, self.settings = root, settings
        self.commands = Commands(root)

    @contextmanager
    def tree(self, name: str, commit: str, dvc_remote: str | None = None) -> Iterator[WorkTree]:
        """A work tree at a commit, with a DVC remote as its default."""
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        with work_tree(self.root, unique, commit) as tree:
            if dvc_remote:
                set_default_remote(tree.path, dvc_remote)
            yield tree

    def dvc(
        self,
        tree: WorkTree,
        *arguments: str,
        say: Say = quiet,
        slot: Slot | None = None,
        stall: StallLimit | None = None,
    ) -> str:
        """Run DVC in a work tree; returns its last lines. Raises what `Commands.run` does."""
        return self.commands.run(
            ["dvc", *arguments],
            tree.path,
            say,
            env=slot.environment if slot else None,
            locks=(tree.lock, *(slot.locks if slot else ())),
            stall=stall,
        )

    def check_sources(self, tree: WorkTree, stages: Sequence[str]) -> None:
        """Compare the sources of the stages' tasks with their records, which DVC depends on.

        Raises:
            UserError: settings are bad, or a source is gone or has changed.
        """
        tasks = sorted({stage.partition("@")[2] for stage in stages if "@" in stage})
        if tasks:
            check = ["python", "-m", "stages.check", *tasks]
            self.commands.run(check, tree.path, quiet, locks=(tree.lock,))

    def reproduce(
        self,
        tree: WorkTree,
        stages: Sequence[str],
        say: Say,
        *,
        slot: Slot | None = None,
        pull: bool = False,
        stall: StallLimit | None = None,
    ) -> set[str]:
        """`dvc repro` of stages; results in the cache (with `pull`: on the remote) are restored.

        Returns:
            The names of the stages that ran.
        """
        self.check_sources(tree, stages)
        flags, ran = ["--pull"] if pull else [], set[str]()
        read = noting_stages(ran, _without_hints(say))
        self.dvc(tree, "repro", *flags, *stages, say=read, slot=slot, stall=stall)
        return ran

    def push_results(self, tree: WorkTree, stages: Sequence[str], dvc_remote: str | None) -> None:
        """Push the outputs of the stages and of all stages before them to a DVC remote."""
        if not dvc_remote:
            return
        push = ["push", "--run-cache", "--with-deps", "--remote", dvc_remote]
        try:
            self.dvc(tree, *push, *stages)
        except (UserError, CommandError, TransientError) as error:
            raise type(error)(f"push to DVC remote `{dvc_remote}`: {error}") from None
        # This installation's module, not that of the tree's revision.
        uncached = ["python", "-P", "-m", "flows.push_uncached", dvc_remote]
        path = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        self.commands.run([*uncached, *stages], tree.path, quiet, env=path, locks=(tree.lock,))

    def stall_limit(self, task: str) -> StallLimit:
        """The stall limit of a task's training."""
        return StallLimit(self.settings.retry.stall_seconds, self.root / "scratch" / "train" / task)

    @contextmanager
    def training_lock(self, tree: WorkTree, task: str, say: Say) -> Iterator[int]:
        """Hold the lock of one training of a task: its code, its data's code, its parameters.

        A second run that wants the same waits, and then restores the result from DVC's run cache.
        """
        path = self.root / "scratch" / "locks" / f"{task}-{training_key(tree.path, task)}.lock"
        message = f"another run trains {task} from the same code and parameters: waiting for it"
        with locked(path, on_wait=lambda: say(message)) as lock:
            assert lock is not None
            yield lock

    def is_current(self, tree: WorkTree, stages: Sequence[str]) -> bool:
        """Whether `dvc.lock` holds the results of this code, data and parameters.

        Outputs that are missing in the work tree count as recorded.

        Raises:
            UserError: a source is gone or has changed.
        """
        if not (tree.path / "dvc.lock").exists():
            return False
        evaluations = [stage for stage in stages if "@" in stage]
        self.check_sources(tree, stages)
        try:
            # The report depends on the folder that holds these small files beside those of Git.
            self.dvc(tree, "checkout", "--quiet", "--allow-missing", *evaluations)
            plan = self.dvc(tree, "repro", "--dry", "--allow-missing", *stages)
        except (CommandError, UserError):
            return False
        return "Running stage '" not in plan and "is cached" not in plan

    def is_there(self, tree: WorkTree, stages: Sequence[str]) -> bool:
        """Whether the stages' results are current and the cache holds them."""
        if not self.is_current(tree, stages):
            return False
        try:
            self.dvc(tree, "checkout", "--quiet", *stages)
        except (CommandError, UserError):
            return False
        return True

    def changes(self, tree: WorkTree, base: str, tasks: list[str]) -> list[MetricChange]:
        """Metrics of a work tree compared with those of a commit.

        Raises:
            UserError: the commit holds metrics of a task that DVC cannot read.
        """
        diff = ask_dvc(tree.path, "metrics", "diff", "--all", "--json", base)
        found = read_changes(diff, tasks)
        # DVC says the same of a file that is broken and of one that is not there.
        read = {change.task for change in found if change.base is not None}
        for name in (f"metrics/{task}.json" for task in tasks if task not in read):
            if git(tree.path, "ls-tree", base, "--", name):
                raise UserError(
                    f"DVC cannot read {name} of {base[:12]}, so nothing can be compared with it: "
                    "name another `base`"
                )
        return found


def _log_or_print(line: str) -> None:
    """Write a line to the run's log; outside a run, print it."""
    try:
        get_run_logger().info("%s", line)
    except MissingContextError:
        print(line, flush=True)


@contextmanager
def open_project() -> Iterator[Project]:
    """The project in the current directory; every command has ended when the block does.

    Work trees that a dead run left behind are removed first.

    Raises:
        UserError: the directory is not in a checkout of a project, or `flows.yaml` is bad.
    """
    root = project_root()
    project = Project(root, load_flow_settings(root))
    remove_orphaned(root, _log_or_print)
    try:
        yield project
    finally:
        project.commands.stop()
