"""Metrics compared with those of a base revision: a table, and the gate."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from chimle.errors import UserError
from flows.flow_settings import GateSettings


@dataclass(frozen=True)
class MetricChange:
    """One metric of one task.

    Attributes:
        task: its name.
        metric: its name in `metrics/TASK.json`.
        base: at the base revision; None if it was not measured there.
        now: at this revision; None if it is not measured any more.
    """

    task: str
    metric: str
    base: float | None
    now: float | None

    def row(self) -> dict[str, str]:
        """A row of the table; numbers have six significant digits."""
        delta = None if self.base is None or self.now is None else self.now - self.base
        return {
            "task": self.task,
            "metric": self.metric,
            "base": _format(self.base),
            "now": _format(self.now),
            "change": "" if delta is None else f"{delta:+.6g}" if delta else "0",
        }


def _format(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def read_changes(diff: str, tasks: list[str]) -> list[MetricChange]:
    """The output of `dvc metrics diff --all --json` as changes of the given tasks.

    Args:
        diff: JSON, `{"metrics/TASK.json": {METRIC: {"old": ..., "new": ...}}}`.
        tasks: those to keep.
    """
    found = []
    for name, metrics in json.loads(diff or "{}").items():
        task = PurePosixPath(name).stem
        if task in tasks:
            for metric, values in metrics.items():
                found.append(MetricChange(task, metric, values.get("old"), values.get("new")))
    return sorted(found, key=lambda change: (tasks.index(change.task), change.metric))


def _not_comparable(metric: str, own: list[MetricChange]) -> str:
    """Why the gate's metric has no value at the base revision."""
    before = ", ".join(change.metric for change in own if change.base is not None)
    found = f"which measured {before}" if before else "which did not measure it"
    return (
        f"{metric} cannot be compared with the base revision, {found}; "
        "compare with another `base`, or publish once with `ignore_gate`"
    )


def gate_rejection(changes: list[MetricChange], task: str, gate: GateSettings) -> str | None:
    """Why the gate refuses a task's model; None if it passes.

    A task that the base revision did not measure at all passes: there is nothing to be worse
    than. One that it measured under other names does not: the two cannot be compared.

    Raises:
        UserError: the gate's metric names none, or several, of the task's metrics.
    """
    own = [c for c in changes if c.task == task and fnmatchcase(c.metric, gate.metric)]
    measured = [c for c in own if c.now is not None]
    if len(measured) != 1:
        names = ", ".join(c.metric for c in measured) or "none"
        raise UserError(
            f"flows.yaml: gate.metric `{gate.metric}` matches {names} of metrics/{task}.json: "
            "name exactly one"
        )
    change = measured[0]
    if change.now is None or not any(c.base is not None for c in changes if c.task == task):
        return None
    if change.base is None:
        return f"{task} is not published: {_not_comparable(change.metric, own)}"
    loss = change.base - change.now if gate.higher_is_better else change.now - change.base
    if loss <= gate.tolerance * abs(change.base):
        return None
    return (
        f"{task} is not published: {change.metric} went from {change.base:.6g} to "
        f"{change.now:.6g}, and the gate allows {gate.tolerance:.0%} for the worse"
    )
