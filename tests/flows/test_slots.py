"""Slots show one device each and need the server's limit; only what may pass is tried again."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings

from chimle.errors import TransientError, UserError
from flows.command import CommandError
from flows.flow_settings import RetrySettings, SlotSettings
from flows.setup_server import set_slots
from flows.slots import Slot, list_devices, slot, take_device
from flows.steps import fail_with_message, retried
from tests.support.servers import free_port
from tests.support.waiting import wait_until

SEEN = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)"


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of devices in a folder of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def quiet(line: str) -> None:
    """Drop a line."""


def test_devices_are_those_that_this_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-1f2e,-1")
    assert list_devices() == ["3", "GPU-1f2e"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert list_devices() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    # In place of the driver's program, one that answers like a machine with two devices.
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$1" = --query-gpu=index ] && printf "0\\n1\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert list_devices() == ["0", "1"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert list_devices() == []


def test_a_slot_shows_its_own_device_alone() -> None:
    with take_device(["3", "5"], quiet) as one, take_device(["3", "5"], quiet) as other:
        for place, name in ((one, "3"), (other, "5"), (Slot(""), "")):
            env = {**os.environ, **place.environment}
            seen = subprocess.run([sys.executable, "-c", SEEN], env=env, capture_output=True)
            assert seen.stdout.decode().strip() == name
    with take_device([], quiet) as cpu, take_device([], quiet) as as_well:
        assert str(cpu) == str(as_well) == "the CPU"
        assert cpu.environment["CUDA_VISIBLE_DEVICES"] == ""


def test_a_third_waits_until_a_device_is_left() -> None:
    devices, heard = ["0", "1"], []
    with take_device(devices, quiet) as first, ExitStack() as held:
        assert first.device == "0"
        assert held.enter_context(take_device(devices, quiet)).device == "1"

        def leave(line: str) -> None:
            heard.append(line)
            held.close()

        with take_device(devices, leave) as third:
            assert third.device == "1"
    assert len(heard) == 1
    assert "waiting for one" in heard[0]


def test_a_device_stays_taken_as_long_as_a_child_holds_it() -> None:
    with take_device(["0"], quiet) as place:
        child = subprocess.Popen(["sleep", "600"], pass_fds=place.locks)
    heard: list[str] = []

    def end_child(line: str) -> None:
        heard.append(line)
        child.kill()
        child.wait()

    with take_device(["0"], end_child) as again:
        assert again.device == "0"
        assert "waiting for one" in heard[0]


@pytest.mark.usefixtures("api")
def test_a_missing_limit_is_an_error_and_setup_makes_it() -> None:
    settings = SlotSettings(limit="a-gpu")
    with pytest.raises(UserError, match="no concurrency limit `a-gpu`: run `make server-setup`"):
        ExitStack().enter_context(slot(settings, quiet))
    with get_client(sync_client=True) as client:
        set_slots(client, settings, None)
        assert client.read_global_concurrency_limit_by_name("a-gpu").limit == max(
            1, len(list_devices())
        )
        set_slots(client, settings, 3)
        set_slots(client, settings, None)
        assert client.read_global_concurrency_limit_by_name("a-gpu").limit == 3
        with slot(settings, quiet):
            assert client.read_global_concurrency_limit_by_name("a-gpu").active_slots == 1
        wait_until(
            lambda: client.read_global_concurrency_limit_by_name("a-gpu").active_slots == 0, 60
        )


def test_a_server_that_is_away_is_asked_for_a_slot_again() -> None:
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(away), pytest.raises(TransientError, match="does not answer"):
        ExitStack().enter_context(slot(SlotSettings(limit="of-no-server"), quiet))


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (TransientError("S3 answers 503"), 3),
        (httpx.ConnectError("all connection attempts failed"), 3),
        (UserError("a learning rate below zero"), 1),
        (CommandError("exit code 1"), 1),
        (ZeroDivisionError("a fault of the program"), 1),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, attempts: int) -> None:
    tries: list[int] = []

    @task(cache_policy=NO_CACHE, persist_result=False)
    @fail_with_message
    def step() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise error
        return len(tries)

    @flow(persist_result=False)
    def night() -> State:
        settings = RetrySettings(delays_seconds=[0.01, 0.02, 0.03])
        state: State[Any] = retried(step, settings)(return_state=True)
        return state

    state: Any = night(return_state=True)
    assert len(tries) == attempts
    assert state.is_completed() == (attempts == 3)
