"""The script for a rented GPU runs from end to end: on the CPU, at tiny sizes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from tests.support.helpers import ROOT

EXPECTED = {
    "codes": (
        r"Philox words equal to the CPU's: True \(10,000 blocks\)",
        r"made by one kernel: False",
        r"largest difference of normals: 0\.0e\+00",
    ),
    "agreement": (
        r"decompression fp32: image 0\.0e\+00, loss 0\.0e\+00, gradient \S+",
        r"super_resolution TF32: image 0\.0e\+00, loss 0\.0e\+00, gradient \S+",
        r"colourization bf16: image \d\.\de-\d\d, loss \S+, gradient \S+",
        r"decompression fp32: 8 of 8 choices equal with chunks of 3 and 64",
    ),
    "repeat": (
        r"graph True, deterministic True: bits equal True",
        r"graph False, deterministic False: bits equal True",
        r"a run stopped after step 5 and resumed has equal bits: True",
        r"state of the published size: \d",
    ),
    "speed": (
        r"bf16 matrix product of 256: \d+\.\d TFLOP/s",
        r"paper step of 2, one by one: host \d",
        r"demo step of 2, graph: host \d",
        r"paper search per image: host \d.* chunks \(\d+, \d+, \d+, \d+\)",
    ),
}
"""What each part finds where the device is the CPU itself: differences are exactly zero."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_dry_run_finds_everything_and_writes_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu", "--dry", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = (tmp_path / "gpu.md").read_text()
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", record, re.MULTILINE | re.DOTALL))
    assert list(parts) == list(EXPECTED)
    for name, findings in EXPECTED.items():
        assert f"{name}: ended after" in parts[name]
        for finding in findings:
            assert re.search(finding, parts[name]), (finding, parts[name])


def test_a_part_that_takes_too_long_is_ended_and_its_lines_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "DRY_LIMIT", 0)
    record = tmp_path / "gpu.md"
    assert not gpu.run_part("codes", dry=True, record=record)
    assert "codes: failed with code -9" in record.read_text()


def test_what_to_bring_is_listed() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--bring"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in ("pydantic", "lpips", "safetensors", "data/pairs/TASK", "perceptual"):
        assert name in done.stdout
