"""Flows that a person starts, with real processes: elsewhere, sweeps, cancelled, with bad input."""

import json
from pathlib import Path

import pytest

from tests.support.nightly import OPTIONS
from tests.support.nightly import night as night
from tests.support.nightly import project as project
from tests.support.nightly import s3 as s3
from tests.support.nightly import stack as stack
from tests.support.repositories import commit, run, set_parameter
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]


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
