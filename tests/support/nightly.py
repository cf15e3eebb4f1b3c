"""A repository whose pipeline a server starts at night, its first run, and storage on S3."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.support.repositories import commit, run, tiny_repository
from tests.support.servers import CREDENTIALS, s3_server
from tests.support.stack import Stack, add_flows, serving
from tests.support.waiting import wait_until

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
    # Two rounds: how near the best sample is may move by more than a tenth with the rounding.
    add_flows(root, retry={"delays_seconds": [1, 1, 1]}, gate={"tolerance": 0.5})
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
