"""CUDA's code path without a GPU: devices never mix, the host rarely waits, layouts are right.

A pretended device (`tests.support.pretended`) stands in for CUDA: shapes and layouts are real,
values are not computed.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.helpers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
TASKS = ("decompression", "super_resolution", "colourization")
PRECISIONS = ("fp32", "bf16")
CANNOT = 77
"""Exit code of `tests.support.pretended.device` where the device cannot be had."""
CASES = (
    *("pass", "search", "samples", "bands"),
    *("training", "perturbed", "adversarial", "diffusion"),
)
STEP_WAITS = {"training": 0, "perturbed": 8, "adversarial": 12, "diffusion": 4}
"""Most waits of the host in a gradient step after the first, which copies constants: CHIMLE's own
step has none. Perturbations and codes that a step draws are named by the host, one copy per level;
the other methods copy what they draw."""
ROUND_WAITS = 24
"""Most waits of a whole round of CHIMLE that searches, trains and saves: its images are copied, its
choices and its last losses are read."""
NHWC_SHARE = 0.95
"""Least share of the tower's convolutions whose image and kernel are channels_last."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The outcome of every case."""
    path = tmp_path_factory.mktemp("pretended") / "found.json"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.pretended.cases", str(path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return outcomes


def of(found: dict[str, dict[str, Any]], name: str, task: str, precision: str) -> dict[str, Any]:
    """A case's counts; a case that raised fails with its traceback."""
    outcome = found[f"{name} {task} {precision}"]
    assert "error" not in outcome, outcome["error"]
    return outcome


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", CASES)
def test_no_operation_mixes_devices(
    found: dict[str, dict[str, Any]], name: str, task: str, precision: str
) -> None:
    assert of(found, name, task, precision)["launches"] > 100


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_in_fp64(
    found: dict[str, dict[str, Any]], name: str, task: str, precision: str
) -> None:
    """Apple's GPUs, which run the same code, have no fp64."""
    doubles = of(found, name, task, precision)["doubles"]
    assert not doubles, doubles


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", STEP_WAITS)
def test_the_host_rarely_waits_for_a_step(
    found: dict[str, dict[str, Any]], name: str, task: str, precision: str
) -> None:
    outcome = of(found, name, task, precision)
    assert outcome["step_waits"][-1] <= STEP_WAITS[name], outcome["waits"]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("task", TASKS)
def test_the_host_rarely_waits_for_a_round(
    found: dict[str, dict[str, Any]], task: str, precision: str
) -> None:
    assert not of(found, "pass", task, precision)["waits"]
    waits = of(found, "training", task, precision)["waits"]
    assert 0 < sum(waits.values()) <= ROUND_WAITS, waits


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["pass", "search", "samples", "bands", "training"])
def test_convolutions_are_channels_last(
    found: dict[str, dict[str, Any]], name: str, task: str, precision: str
) -> None:
    """`pass`, `samples` and `bands` hold the convolutions of the tower alone."""
    layouts = of(found, name, task, precision)["layouts"]
    share = layouts.get("image NHWC, kernel NHWC", 0) / sum(layouts.values())
    assert share >= NHWC_SHARE, layouts


def test_a_mixture_of_devices_and_a_wait_are_noticed() -> None:
    """What the other tests rely on."""
    program = """
from tests.support.pretended.device import DEVICE, MODE, counted
import torch
with MODE, counted() as count:
    try:
        torch.ones(3, device=DEVICE) + torch.ones(3)
    except RuntimeError as error:
        print("mixed" if "device" in str(error) else error)
    torch.ones(3, device=DEVICE).sum().item()
    torch.ones(3).to(DEVICE, non_blocking=True)
    torch.ones(3).to(DEVICE)
    image = torch.empty(1, 3, 8, 8, device=DEVICE)
    torch.nn.functional.conv2d(image, torch.empty(4, 3, 3, 3, device=DEVICE))
print(sum(count.waits.values()), *count.layouts)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip())
    assert done.stdout == "mixed\n2 image NCHW, kernel NCHW\n", done.stderr


def test_a_tower_on_a_gpu_is_exported_on_the_cpu() -> None:
    """The export's inputs are made there."""
    program = """
from tests.support.pretended.device import DEVICE, MODE
from chimle.bundles.export import Exported
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
settings = TowerSettings(resolution=8, widths=(4, 4), growth=(4, 4))
with MODE:
    tower = Tower(settings, Wiring.GENERIC).to(DEVICE)
    state = Exported(tower).state_dict().values()
    print(*{value.device.type for value in tower.state_dict().values()})
    print(*{value.device.type for value in state})
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip())
    assert done.stdout == "cuda\ncpu\n", done.stdout + done.stderr
