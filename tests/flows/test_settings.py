"""`flows.yaml`, grids of sweeps and the parameters of flows: bad ones are refused by a sentence."""

import os
import subprocess
import sys
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_IMODE
from typing import get_args

import pytest
import yaml
from prefect.client.schemas.objects import State, StateType
from prefect.settings.legacy import _get_settings_fields
from prefect.settings.models.root import Settings

from chimle.errors import UserError
from chimle.tasks import TASKS
from flows.__main__ import FLOWS, check_names, read_parameters
from flows.command import SECRETS, Commands
from flows.flow_settings import FlowSettings, load_flow_settings
from flows.login import FILE, load_login
from flows.publish import PublishOptions
from flows.run_states import AGAIN, NOT_PUBLISHED, NOTHING_CHANGED, ended_before
from flows.server_arguments import port_number, public_origin
from flows.setup_server import FLOWS as KNOWN
from flows.setup_server import automations
from flows.steps import TaskName
from flows.sweep import Value, grid_points, set_point
from tests.support.helpers import ROOT
from tests.support.projects import write_project


@pytest.mark.parametrize(
    ("flow", "given", "sentence"),
    [
        ("train", [], "train needs `task`: add task=VALUE"),
        ("train", ["tusk"], "train has no parameter `tusk`: remove it or name one of task, "),
        ("train", ["task", "branch"], "train has no parameter `branch`"),
        ("sweep", ["task"], "sweep needs `grid`: add grid=VALUE"),
    ],
)
def test_names_of_parameters_are_checked_before_a_server_starts(
    flow: str, given: list[str], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_names(flow, given)
    assert str(caught.value).startswith(sentence)


def test_good_names_of_parameters_are_taken() -> None:
    check_names("pipeline", ["branch", "git_remote"])
    check_names("trim", [])


@pytest.mark.parametrize("asked", [False, True])
def test_prefect_reports_nothing_unless_asked_to(asked: bool, tmp_path: Path) -> None:
    """The settings of a temporary server, and of `python -m flows.prefect_server`."""
    names = ("PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK", "CI")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= {"PREFECT_HOME": str(tmp_path)} | (dict.fromkeys(names[:1], "true") if asked else {})
    program = (
        "import flows, os; from prefect.settings import get_current_settings as settings; "
        "print(settings().server.analytics_enabled, os.environ['DO_NOT_TRACK'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(asked), "1"]


def test_the_committed_file_holds_the_defaults() -> None:
    assert load_flow_settings(ROOT) == FlowSettings()
    assert set(yaml.safe_load((ROOT / "flows.yaml").read_text())) == set(FlowSettings.model_fields)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gate: {tolerance: -1}", "`gate.tolerance` = -1: "),
        ("gate: {tolerence: 1}", "unknown parameter `gate.tolerence`: remove it or fix"),
        ("slots: {lease_seconds: 5}", "slots.lease_seconds"),
        ("retry: [1]", "retry"),
        ("gate: [", "is not valid YAML"),
        ("slots: " + "[" * 3000, "is nested too deeply"),
        ("- gate", "must hold a mapping"),
        ("retry: {delays_seconds: [.inf]}", "`retry.delays_seconds.0` = inf"),
        ("retry: {delays_seconds: [-1]}", "`retry.delays_seconds.0` = -1"),
        (f"sweep: {{most_points: {'9' * 5000}}}", "sweep.most_points"),
        ("slots: {limit: 2022-99-99}", "has a value that is not of its kind"),
    ],
)
def test_a_bad_file_is_named_with_its_field(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "flows.yaml").write_text(text)
    with pytest.raises(UserError, match=r"flows\.yaml") as caught:
        load_flow_settings(tmp_path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing: restore it from Git"):
        load_flow_settings(tmp_path)


def test_tasks_and_flows_have_the_same_names_everywhere() -> None:
    assert list(get_args(TaskName)) == list(TASKS)
    assert list(FLOWS) == KNOWN
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {entry["entrypoint"].split(":")[1] for entry in deployed} == set(KNOWN)


def test_the_server_knows_every_end_of_a_run() -> None:
    silent = next(each for each in automations() if "silent" in each.name)
    names = {"Completed", "Failed", "Cancelled", NOTHING_CHANGED, NOT_PUBLISHED, AGAIN}
    assert {f"prefect.flow-run.{name}" for name in names} < silent.trigger.expect  # type: ignore[union-attr]


def history(*states: tuple[StateType, str, str]) -> list[State]:
    begin = datetime(2022, 11, 28, tzinfo=UTC)
    return [
        State(type=kind, name=name, message=text, timestamp=begin + timedelta(seconds=second))
        for second, (kind, name, text) in enumerate(states)
    ]


def test_a_run_that_had_ended_is_not_done_again() -> None:
    running = (StateType.RUNNING, "Running", "")
    end = (StateType.COMPLETED, NOTHING_CHANGED, "Nothing changed since yesterday.")
    crashed = (StateType.CRASHED, "Crashed", "exit code -9")
    silent = (StateType.SCHEDULED, AGAIN, "Was silent, its process dead.")
    by_hand = (StateType.SCHEDULED, AGAIN, "Retry from the web page")
    found = ended_before(history(running, end, silent, running)[::-1])
    assert found
    assert (found.type, found.name, found.message) == end
    for states in ([running], [running, silent, running], [running, crashed, silent, running]):
        assert ended_before(history(*states)) is None
    assert ended_before(history(running, end, by_hand, running)) is None
    assert ended_before(history(running, end, by_hand, running, silent, running)) is None


def test_every_parameter_is_documented() -> None:
    for flow in FLOWS.values():
        for name, field in flow.parameters.properties.items():
            assert field.get("description"), f"{flow.name}: {name}"


def test_publish_options_are_checked_before_anything_runs() -> None:
    with pytest.raises(UserError, match="needs `license`"):
        PublishOptions(bundles="s3://bucket/models")
    with pytest.raises(UserError, match="is not the address of a bucket"):
        PublishOptions(bundles="https://bucket/models", license="mit")


def test_words_of_the_command_line() -> None:
    read = read_parameters("pipeline", ['tasks=["a"]', "branch=nightly", "base=", "n=3"])
    assert read == {"tasks": ["a"], "branch": "nightly", "base": "", "n": 3}
    with pytest.raises(UserError, match="write NAME=VALUE"):
        read_parameters("pipeline", ["nightly"])
    hashes = ["revision=8412345", "base=12e4567", "branch=2024", 'git_remote="7"', "license=null"]
    assert read_parameters("pipeline", hashes) == {
        "revision": "8412345",
        "base": "12e4567",
        "branch": "2024",
        "git_remote": "7",
        "license": None,
    }
    read = read_parameters("pipeline", ["ignore_gate=true"])
    assert read == {"ignore_gate": True}
    assert read_parameters("trim", ["results_days=30"]) == {"results_days": 30}
    assert read_parameters("sweep", ['grid={"a.b": [1]}', "name=1"]) == {
        "grid": {"a.b": [1]},
        "name": "1",
    }


@pytest.mark.parametrize("text", ["0", "65536", "-1", "9" * 5000, "x", "", "80.5"])
def test_a_port_that_cannot_be_is_refused(text: str) -> None:
    assert port_number("4200") == 4200
    with pytest.raises(ArgumentTypeError, match="is not a port from 1 to 65535"):
        port_number(text)


def test_secrets_of_the_server_reach_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*SECRETS, "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hidden")
    said = Commands(tmp_path).run(["env"], tmp_path, print)
    assert [line for line in said.splitlines() if "hidden" in line] == [
        "AWS_SECRET_ACCESS_KEY=hidden"
    ]
    known = {each.name for each in _get_settings_fields(Settings).values() if each.is_secret}
    assert known <= set(SECRETS)


def test_a_folder_of_the_server_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Its database holds the addresses of notifications, and the key that encrypts them."""
    (tmp_path / FILE).parent.mkdir(mode=0o755)
    load_login(tmp_path)
    assert S_IMODE((tmp_path / FILE).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://chimle.example.org", "https://chimle.example.org"),
        ("HTTPS://Chimle.Example.org/", "https://chimle.example.org"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_an_origin_is_as_browsers_write_it(text: str, origin: str) -> None:
    assert public_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("chimle.example.org", "//a", "https://", "https://a/x", "https://a?x", "https://a#x"),
        *("https://u:p@a", "ftp://a", "https://a:x", "https://[::1", "*", ""),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """Of such a proxy every request would be refused, without a word why."""
    with pytest.raises(ArgumentTypeError, match="write https://HOST, and no path"):
        public_origin(text)


def test_a_grid_is_every_combination() -> None:
    grid = {"train.learning_rate": [0.1, 0.2], "train.ema": [0.9, 0.99]}
    points = grid_points(grid, 4)  # type: ignore[arg-type]
    assert len(points) == 4
    assert {"train.learning_rate": 0.2, "train.ema": 0.9} in points


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({}, "0 points"),
        ({"train.ema": []}, "has no value"),
        ({"ema": [1]}, "must be SECTION.FIELD"),
        ({"train.ema": [0.1, 0.2, 0.3]}, "3 points"),
    ],
)
def test_bad_grids_are_refused(grid: dict[str, list[Value]], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        grid_points(grid, 2)


def test_a_point_is_written_and_checked(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"colourization": {"source": {"kind": "builtin"}}})
    set_point(root, root, "colourization", {"train.learning_rate": 0.5, "search.memory": 8})
    written = yaml.safe_load((root / "params.yaml").read_text())["tasks"]["colourization"]
    assert written["train"] == {"learning_rate": 0.5}
    assert written["search"] == {"memory": 8}
    with pytest.raises(UserError, match="learning_rat"):
        set_point(root, root, "colourization", {"train.learning_rat": 0.5})
