"""What a run of a revision decides by the results that are there."""

from pathlib import Path

import pytest

from chimle.errors import UserError
from flows import publish
from flows.flow_settings import FlowSettings, GateSettings
from flows.pipeline import Plan, _earlier_outcome, _gate_line, _request_line
from flows.project import Project
from flows.revisions import get_commit
from flows.worktrees import WorkTree, work_tree
from tests.support.repositories import commit, run

REFUSED, DONE = "Not published: lpips is worse.", "Done; committed on `nightly`."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of two revisions with metrics."""
    root = tmp_path / "project"
    (root / "metrics").mkdir(parents=True)
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    for number in range(2):
        (root / "metrics" / "colourization.json").write_text(f'{{"lpips": {number}}}')
        commit(root, f"revision {number}")
    return root


@pytest.mark.parametrize("outcome", [REFUSED, DONE])
def test_a_refusal_counts_for_its_base_and_gate_alone(root: Path, outcome: str) -> None:
    options = publish.PublishOptions(branch="nightly")
    head, before = get_commit(root, "HEAD"), get_commit(root, "HEAD~1")
    plan = Plan(tasks=["colourization"], commit=head, base=head, options=options)
    project = Project(root, FlowSettings())
    with work_tree(root, "one", head) as tree:
        lines = [_request_line(plan), _gate_line(plan, project.settings.gate)]
        publish.record(project, tree, head, outcome, lines)
    assert _earlier_outcome(project, plan) == outcome
    again = None if outcome == REFUSED else outcome
    assert _earlier_outcome(project, plan.model_copy(update={"base": before})) == again
    tolerant = Project(root, FlowSettings(gate=GateSettings(tolerance=0.5)))
    assert _earlier_outcome(tolerant, plan) == again
    assert _earlier_outcome(project, plan.model_copy(update={"tasks": []})) is None


@pytest.mark.parametrize("broken", ["metrics/colourization.json", "dvc.yaml"])
def test_a_base_that_cannot_be_read_is_no_base_without_metrics(root: Path, broken: str) -> None:
    project, metrics = Project(root, FlowSettings()), "metrics/colourization.json"
    (root / "dvc.yaml").write_text(f"metrics: [{metrics}]\n")
    good = commit(root, "DVC knows the metrics")
    text = (root / broken).read_text()
    (root / broken).write_text("<<<<<<< a conflict\n")
    bad = commit(root, "broken")
    (root / broken).write_text(text)
    (root / metrics).unlink()
    without = commit(root, "without metrics")
    (root / metrics).write_text('{"lpips": 1}')
    tree = WorkTree(root, 0)
    (change,) = project.changes(tree, good, ["colourization"])
    assert (change.base, change.now) == (1, 1)
    (change,) = project.changes(tree, without, ["colourization"])
    assert (change.base, change.now) == (None, 1)
    with pytest.raises(UserError, match=f"DVC cannot read {metrics} of {bad[:12]}"):
        project.changes(tree, bad, ["colourization"])


def test_a_branch_that_was_checked_out_during_a_run_is_left_alone(root: Path) -> None:
    """Else all that its commits changed would be undone in the files of who works there."""
    head, options = get_commit(root, "HEAD"), publish.PublishOptions(branch="nightly")
    run(root, "git", "branch", "nightly")
    with work_tree(root, "one", head) as tree:
        (tree.path / "metrics" / "colourization.json").write_text('{"lpips": 7}')
        project = Project(root, FlowSettings())
        run(root, "git", "checkout", "-q", "nightly")
        with pytest.raises(UserError, match="branch `nightly` is checked out"):
            publish.publish(project, tree, [], head, options, print)
        assert get_commit(root, "nightly") == head
        run(root, "git", "checkout", "-q", "main")
        released = publish.publish(project, tree, [], head, options, print)
    assert get_commit(root, "nightly") == released.branch_commit != head
