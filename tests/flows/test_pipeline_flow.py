"""The pipeline with real processes: server, worker, cron, slots, S3, and a serial `dvc repro`."""

import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from flows.run_states import AGAIN, AGAIN_PREFIX
from tests.support.nightly import BUCKET
from tests.support.nightly import night as night
from tests.support.nightly import project as project
from tests.support.nightly import s3 as s3
from tests.support.nightly import stack as stack
from tests.support.repositories import TASKS, commit, outputs, run, set_parameter, stages_run
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]


def test_the_cron_fires_and_the_run_completes(stack: Stack, night: dict[str, Any]) -> None:
    assert night["state"]["type"] == "COMPLETED", stack.log(night["id"])
    assert "pushed to DVC remote `store`" in night["state"]["message"]


def test_four_tasks_on_two_slots_are_two_at_once_and_never_more(
    stack: Stack, night: dict[str, Any]
) -> None:
    spans = json.loads(stack.artifacts(night["id"])["times"])
    assert {span["task"] for span in spans} == set(TASKS)
    times = [[datetime.fromisoformat(span[end]) for end in ("started", "ended")] for span in spans]
    for moment, _ in times:
        assert sum(start <= moment < end for start, end in times) <= 2
    overlaps = [min(a[1], b[1]) - max(a[0], b[0]) for a, b in itertools.combinations(times, 2)]
    # The first two find free slots; how soon another one sees that a slot is free is chance.
    assert any(overlap > timedelta(0) for overlap in overlaps)
    assert {span["device"] for span in spans} == {"the CPU"}


@pytest.mark.usefixtures("night")
def test_results_are_those_of_a_serial_repro(project: Path, reference: Path) -> None:
    # The same code and parameters in a repository of its own, which shares nothing with this one.
    serial = outputs((reference / "dvc.lock").read_text())
    assert outputs(run(project, "git", "show", "results:dvc.lock")) == serial


def test_metrics_images_and_progress_are_seen_from_outside(
    stack: Stack, night: dict[str, Any], reference: Path
) -> None:
    shown = stack.artifacts(night["id"])
    rows = json.loads(shown["metric-changes"])
    assert {row["task"] for row in rows} == set(TASKS)
    assert {"metric", "base", "now", "change"} < set(rows[0])
    assert shown["summary"].count("data:image/png;base64,") >= len(TASKS) * 3
    assert "Bundle version `" in shown["summary"]
    assert "http" not in shown["summary"]
    made = outputs((reference / "dvc.lock").read_text())
    for task in TASKS:
        assert f"`models/{task}` is `{made[f'models/{task}'][:12]}`" in shown["summary"]
    assert all(shown[f"training-{task.replace('_', '-')}"] == 100 for task in TASKS)
    assert "colourization: round 1/2: loss per level" in stack.log(night["id"])


@pytest.mark.usefixtures("night")
def test_bundles_lie_on_s3_and_are_listed(project: Path) -> None:
    listed = run(project, "git", "show", "results:dvc.yaml")
    for task in TASKS:
        assert f"address: s3://{BUCKET}/bundles/{task}/{task}-" in listed
    objects = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="bundles/")["Contents"]
    assert len(objects) == len(TASKS)
    address = f"s3://{BUCKET}/{objects[0]['Key']}"
    assert '"license": "apache-2.0"' in run(project, "chimle", "show", address, "--json")


@pytest.mark.usefixtures("night")
def test_nothing_stays_behind(stack: Stack, project: Path) -> None:
    assert len(run(project, "git", "worktree", "list").splitlines()) == 1
    assert not list((project / "scratch" / "work-trees").glob("[!.]*"))
    assert run(project, "git", "status", "--porcelain") == ""
    assert not stack.processes("stages.")


@pytest.mark.usefixtures("night")
def test_an_unchanged_revision_does_nothing(stack: Stack, project: Path) -> None:
    tip = run(project, "git", "rev-parse", "results")
    again = stack.wait(stack.start("pipeline/nightly"))
    assert again["state"]["name"] == "Nothing changed", stack.log(again["id"])
    assert "Nothing changed since" in again["state"]["message"]
    assert not stages_run(stack.log(again["id"]))
    assert run(project, "git", "rev-parse", "results") == tip


def test_a_run_that_was_taken_for_dead_too_late_ends_as_it_had(
    stack: Stack, night: dict[str, Any]
) -> None:
    again = {
        "type": "SCHEDULED",
        "name": AGAIN,
        "message": f"{AGAIN_PREFIX}silent, its process dead.",
    }
    stack.ask(f"/flow_runs/{night['id']}/set_state", state=again)
    wait_until(lambda: "nothing is done again" in stack.log(night["id"]), 120)
    ended = stack.wait(night["id"])
    for what in ("type", "name", "message"):
        assert ended["state"][what] == night["state"][what]


@pytest.mark.usefixtures("night")
def test_a_worse_model_is_not_published(stack: Stack, project: Path) -> None:
    tip = run(project, "git", "rev-parse", "results")
    params = (project / "params.yaml").read_text()
    # A diverged tower whose lightness nothing corrects paints all images in one colour: worse on
    # every machine, however its sums are rounded.
    set_parameter(project, "colourization", "train", learning_rate=0.3)
    set_parameter(project, "colourization", "tower", agreement="none")
    commit(project, "a learning rate that is far too high")
    worse = stack.wait(stack.start("pipeline/nightly"))
    assert worse["state"]["name"] == "Not published", stack.log(worse["id"])
    assert worse["state"]["type"] == "FAILED"
    assert "colourization is not published: lpips_" in worse["state"]["message"]
    assert run(project, "git", "rev-parse", "results") == tip
    objects = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="bundles/")["Contents"]
    assert len(objects) == len(TASKS)
    (project / "params.yaml").write_text(params)


@pytest.mark.usefixtures("night")
def test_a_metric_of_another_name_is_not_published(stack: Stack, project: Path) -> None:
    tip = run(project, "git", "rev-parse", "results")
    params = (project / "params.yaml").read_text()
    set_parameter(project, "colourization", "evaluate", samples=2)
    commit(project, "another number of samples, which the metric's name holds")
    other = stack.wait(stack.start("pipeline/nightly", tasks=["colourization"]))
    assert other["state"]["type"] == "FAILED", stack.log(other["id"])
    assert "cannot be compared with the base revision" in other["state"]["message"]
    assert run(project, "git", "rev-parse", "results") == tip
    (project / "params.yaml").write_text(params)


@pytest.mark.usefixtures("night")
def test_a_small_change_is_seen_between_nights(stack: Stack, project: Path) -> None:
    set_parameter(project, "colourization", "train", learning_rate=1.1e-3)
    commit(project, "a learning rate that is a little higher")
    next_night = stack.wait(stack.start("pipeline/nightly"))
    assert next_night["state"]["name"] == "Completed", stack.log(next_night["id"])
    log = stack.log(next_night["id"])
    assert "Running stage 'train@colourization'" in log
    assert not any(
        f"Running stage 'train@{task}'" in log for task in set(TASKS) - {"colourization"}
    )
    diff = json.loads(run(project, "dvc", "metrics", "diff", "--json", "results~1", "results"))
    assert list(diff) == ["metrics/colourization.json"]


def test_an_ended_run_is_not_started_again_and_again(stack: Stack, night: dict[str, Any]) -> None:
    # Once by the test above. A busy server may miss an end, but not repeatedly.
    assert stack.log(night["id"]).count("nothing is done again") <= 3
