"""The pipeline with real processes: server, worker, cron, slots, S3, and a serial `dvc repro`."""

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from flows.run_states import AGAIN, AGAIN_PREFIX
from tests.support.repositories import (
    TASKS,
    commit,
    outputs,
    run,
    set_parameter,
    stages_run,
    tiny_repository,
)
from tests.support.servers import CREDENTIALS, s3_server
from tests.support.stack import Stack, add_flows, serving
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]
BUCKET = "nightly"
_STEPS = "prefect.deployments.steps"
_AHEAD = (25, 60, 180)
"""Seconds in which a run is due: a busy server may need longer to plan it than the first."""
OPTIONS = {
    "branch": "results",
    "dvc_remote": "store",
    "bundles": f"s3://{BUCKET}/bundles",
    "license": "apache-2.0",
}


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """Environment in which boto3 and DVC find a server with one bucket."""
    with s3_server() as address, pytest.MonkeyPatch.context() as patch:
        variables = {"AWS_ENDPOINT_URL": address, **CREDENTIALS}
        for key, value in variables.items():
            patch.setenv(key, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield variables


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, s3: dict[str, str]) -> Path:
    """A repository with the flows and a DVC remote on S3, without results."""
    root = tiny_repository(tmp_path_factory.mktemp("nightly") / "project")
    run(root, "dvc", "remote", "add", "store", f"s3://{BUCKET}/dvc")
    run(root, "dvc", "remote", "modify", "store", "endpointurl", s3["AWS_ENDPOINT_URL"])
    add_flows(root, retry={"delays_seconds": [1, 1, 1]})
    deploy_elsewhere(root, root.parent / "elsewhere")
    return root


def deploy_elsewhere(root: Path, clone: Path) -> None:
    """Deploy `train/elsewhere`, which works as a container: a clone in an empty folder."""
    deployments = yaml.safe_load((root / "prefect.yaml").read_text())
    pool = deployments["deployments"][0]["work_pool"]
    script = f"git clone --quiet {root.as_uri()} {clone}"
    pull = [
        {f"{_STEPS}.run_shell_script": {"script": script}},
        {f"{_STEPS}.set_working_directory": {"directory": str(clone)}},
    ]
    elsewhere = {"name": "elsewhere", "entrypoint": "flows/training.py:train", "pull": pull}
    deployments["deployments"].append(elsewhere | {"work_pool": pool})
    (root / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    commit(root, "another machine")


@pytest.fixture(scope="module")
def stack(project: Path) -> Iterator[Stack]:
    with serving(project, slots=2) as running:
        yield running


def due_runs(stack: Stack, deployment: str, until: datetime) -> list[dict[str, Any]]:
    """The runs that the server has planned by a schedule, but for later ones."""
    runs = stack.ask("/flow_runs/filter", deployments={"id": {"any_": [deployment]}})
    return [
        run
        for run in runs
        if run["auto_scheduled"] and datetime.fromisoformat(run["expected_start_time"]) <= until
    ]


@pytest.fixture(scope="module")
def night(stack: Stack) -> dict[str, Any]:
    """The first run, started by the cron of the deployment."""
    name = "/deployments/name/pipeline/nightly"
    found = stack.client.get(name).raise_for_status().json()
    assert found["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    stack.client.patch(f"/deployments/{found['id']}", json={"parameters": OPTIONS})
    stack.client.delete(f"/deployments/{found['id']}/schedules/{found['schedules'][0]['id']}")
    for ahead in _AHEAD:
        # The same schedule, soon instead of at two. The sixth field of a cron are its seconds.
        soon = datetime.now(UTC) + timedelta(seconds=ahead)
        due = f"{soon.minute} {soon.hour} * * * {soon.second}"
        cron = {"schedule": {"cron": due, "timezone": "UTC"}}
        added = stack.client.post(f"/deployments/{found['id']}/schedules", json=[cron])
        (schedule,) = added.raise_for_status().json()
        while not (planned := due_runs(stack, found["id"], soon)) and datetime.now(UTC) < soon:
            time.sleep(0.5)
        if planned:
            break
        stack.client.delete(f"/deployments/{found['id']}/schedules/{schedule['id']}")
    assert planned, "the server did not plan the run in time"
    first = planned[0]
    # A run that has not begun would go with its schedule.
    wait_until(lambda: stack.run(first["id"])["state"]["type"] != "SCHEDULED", 300)
    stack.client.delete(f"/deployments/{found['id']}/schedules/{schedule['id']}")
    assert first["created_by"]["type"] == "SCHEDULE"
    return stack.wait(first["id"])


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
    set_parameter(project, "colourization", "train", learning_rate=0.3)
    commit(project, "a learning rate that is far too high")
    worse = stack.wait(stack.start("pipeline/nightly"))
    assert worse["state"]["name"] == "Not published", stack.log(worse["id"])
    assert worse["state"]["type"] == "FAILED"
    assert "colourization is not published: lpips_" in worse["state"]["message"]
    assert run(project, "git", "rev-parse", "results") == tip
    objects = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="bundles/")["Contents"]
    assert len(objects) == len(TASKS)


@pytest.mark.usefixtures("night")
def test_a_metric_of_another_name_is_not_published(stack: Stack, project: Path) -> None:
    tip = run(project, "git", "rev-parse", "results")
    params = (project / "params.yaml").read_text()
    set_parameter(project, "colourization", "train", learning_rate=1e-3)
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


@pytest.mark.usefixtures("night")
def test_another_deployment_trains_and_the_pipeline_restores(stack: Stack, project: Path) -> None:
    set_parameter(project, "decompression", "train", learning_rate=1.1e-3)
    commit(project, "a higher learning rate elsewhere")
    options = {"dvc_remote": "store", "train_deployment": "train/elsewhere"}
    parent = stack.wait(stack.start("pipeline/nightly", tasks=["decompression"], **options))
    assert parent["state"]["type"] == "COMPLETED", stack.log(parent["id"])
    assert "Running stage 'train@" not in stack.log(parent["id"])
    runs = stack.ask("/flow_runs/filter", flow_runs={"name": {"any_": ["train decompression"]}})
    assert [found["state"]["type"] for found in runs] == ["COMPLETED"]
    assert "Running stage 'train@decompression'" in stack.log(runs[0]["id"])
    assert (project.parent / "elsewhere" / ".dvc" / "cache").is_dir()


@pytest.mark.usefixtures("night")
def test_a_sweep_leaves_experiments(stack: Stack, project: Path) -> None:
    grid = {"train.learning_rate": [0.001, 0.004]}
    done = stack.wait(stack.start("sweep/on-demand", task="colourization", grid=grid, name="try"))
    assert done["state"]["type"] == "COMPLETED", stack.log(done["id"])
    rows = json.loads(stack.artifacts(done["id"])["sweep-colourization"])
    assert [row["experiment"] for row in rows] == ["try-1", "try-2"]
    assert rows[0]["psnr"] != rows[1]["psnr"]
    listed = run(project, "dvc", "exp", "list", "--name-only")
    assert {"try-1", "try-2"} <= set(listed.split())
    assert run(project, "git", "status", "--porcelain") == ""


@pytest.mark.usefixtures("night")
def test_cancelling_ends_training_and_keeps_its_state(stack: Stack, project: Path) -> None:
    set_parameter(project, "super_resolution", "train", rounds=5000)
    commit(project, "a training that nobody waits for")
    logs = []
    for _ in range(2):
        running = stack.start("train/on-demand", task="super_resolution")
        stack.wait_log(running, "super_resolution: round ", 300)
        state = {"type": "CANCELLING", "name": "Cancelling"}
        stack.ask(f"/flow_runs/{running}/set_state", state=state)
        assert stack.wait(running, 180)["state"]["type"] == "CANCELLED"
        stack.wait_gone("stages.train")
        assert list((project / "scratch" / "train" / "super_resolution").glob("*/state.pt"))
        logs.append(stack.log(running))
    assert "continues from round" in logs[1]
    assert "continues from round" not in logs[0]
    wait_until(lambda: stack.slots_taken() == 0, 240)
    # Those of a run that was ended go after it.
    wait_until(lambda: not list((project / "scratch" / "work-trees").glob("[!.]*")), 120)


@pytest.mark.usefixtures("night")
def test_bad_input_fails_at_once_with_a_sentence(stack: Stack, project: Path) -> None:
    bad = stack.wait(stack.start("pipeline/nightly", **{**OPTIONS, "revision": "no-such-branch"}))
    assert bad["state"]["type"] == "FAILED"
    assert bad["state"]["message"].startswith("`no-such-branch` names no commit")
    assert "Traceback" not in stack.log(bad["id"])
    set_parameter(project, "colourization", "train", learning_rate=-1)
    commit(project, "a learning rate below zero")
    bad = stack.wait(stack.start("train/on-demand", task="colourization"))
    assert bad["state"]["type"] == "FAILED"
    assert "learning_rate" in bad["state"]["message"]
    assert "AwaitingRetry" not in stack.log(bad["id"])


def test_an_ended_run_is_not_started_again_and_again(stack: Stack, night: dict[str, Any]) -> None:
    # Once by the test above. A busy server may miss an end, but not repeatedly.
    assert stack.log(night["id"]).count("nothing is done again") <= 3
