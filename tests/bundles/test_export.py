"""Outputs of exported towers equal the tower's, also in a process without torch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import chimle
from chimle.bundles import export as module
from chimle.bundles.bundle import Bundle
from chimle.bundles.export import Exported, example, export, input_names
from chimle.errors import UserError
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from chimle.settings.tower import TowerSettings
from chimle.tower.generator import Tower
from tests.support.helpers import ROOT
from tests.support.projects import TINY, tiny_bundle

FULL_DISK = """
import resource, sys
from chimle.bundles.bundle import load_bundle
from chimle.bundles.export import export
from chimle.errors import guarded
from pathlib import Path

bundle, out = map(Path, sys.argv[1:])
loaded = load_bundle(bundle)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
guarded(lambda: print(export(loaded, out, "torch", (32, 32))))
"""

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "without_torch.py"


def small(task: str, levels: int = 2) -> Bundle:
    """An untrained tower with a task's wiring and few levels: tracing takes seconds per level.

    The documentation's example has four levels.
    """
    settings = build_settings(RunSettings, {**TINY, "task": task, "preset": "test"}, "test")
    sizes = TowerSettings.model_validate(
        {**TINY["tower"], "widths": [8, 6][:levels], "growth": [4] * levels}
    )
    torch.manual_seed(0)
    tower = Tower(sizes, settings.definition.wiring).eval()
    return Bundle(tower, settings.model_copy(update={"tower": sizes}), {"seed": 0})


def flat(inputs: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [tensor for group in inputs for tensor in group]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["super_resolution", "colourization", "night_to_day"])
def test_onnx_takes_any_batch_and_size(tmp_path: Path, task: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is absent")
    pytest.importorskip("onnxscript", reason="the extra `export` is absent")
    bundle = small(task)
    if task == "super_resolution":  # The matrices of its agreement are made for one size.
        with pytest.raises(UserError, match="exported for one size"):
            export(bundle, tmp_path / "tower.onnx", "onnx")
        bundle.tower.settings = bundle.tower.settings.model_copy(update={"agreement": "none"})
        run = bundle.settings.model_copy(update={"tower": bundle.tower.settings})
        bundle = replace(bundle, settings=run)
    report = export(bundle, tmp_path / "tower.onnx", "onnx")
    assert report["size"] == "any"
    assert float(report["largest_difference_to_the_tower"]) <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "tower.onnx"))
    assert [i.name for i in session.get_inputs()] == input_names(bundle.tower)
    tower = Exported(bundle.tower).eval()
    for size, batch in (((8, 8), 1), ((24, 16), 4)):
        inputs = example(bundle, size, batch, seed=7)
        named = zip(report["inputs"], flat(inputs), strict=True)
        (found,) = session.run(["image"], {name: value.numpy() for name, value in named})
        with torch.no_grad():
            np.testing.assert_allclose(found, tower(*inputs).numpy(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["super_resolution", "colourization"])
def test_an_exported_program_of_one_size(tmp_path: Path, task: str) -> None:
    bundle = small(task)
    export(bundle, tmp_path / "tower.pt2", "torch", (16, 24))
    inputs = example(bundle, (16, 24), 5)
    found = torch.export.load(tmp_path / "tower.pt2").module()(*inputs)
    torch.testing.assert_close(found, Exported(bundle.tower)(*inputs), atol=1e-4, rtol=0)


def test_a_graph_with_other_outputs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = small("night_to_day", levels=1)
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="was not written"):
        export(bundle, tmp_path / "tower.pt2", "torch", (16, 24))
    assert not (tmp_path / "tower.pt2").exists()


@pytest.mark.slow
def test_the_example_without_torch(tmp_path: Path) -> None:
    """The documentation's example, as printed, on an image and an exported tower."""
    pytest.importorskip("onnxruntime", reason="the extra `export` is absent")
    pytest.importorskip("onnxscript", reason="the extra `export` is absent")
    bundle = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day")).bundle
    export(bundle, tmp_path / "tower.onnx", "onnx", (64, 96))
    from PIL import Image

    Image.new("RGB", (96, 64), (90, 30, 200)).save(tmp_path / "night.png")
    text = GUIDE.read_text()
    assert "torch" not in text.replace("without torch", "")
    done = subprocess.run(
        [sys.executable, str(GUIDE)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "day.png") as day:
        assert day.size == (96, 64)


@pytest.mark.slow
def test_a_filter_is_exported_exactly(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `export` is absent")
    pytest.importorskip("onnxscript", reason="the extra `export` is absent")
    bundle = small("super_resolution")
    plain = export(bundle, tmp_path / "plain.onnx", "onnx", (7, 5))
    kernel = torch.randn(63, 63, generator=torch.Generator().manual_seed(0)) / 63
    bundle.tower.equaliser = (kernel + kernel.flip(0, 1)) / (2 * kernel.sum()).abs().clamp(min=1)
    report = export(bundle, tmp_path / "tower.onnx", "onnx", (7, 5))
    assert report["bytes"] > plain["bytes"] + 4 * 63 * 63 - 4096
    assert float(report["largest_difference_to_the_tower"]) <= 3e-5


@pytest.mark.slow
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """Torch itself, whose file would be written first, would end the process."""
    bundle, out = tiny_bundle(tmp_path / "model", "night_to_day"), tmp_path / "tower.pt2"
    command = [sys.executable, "-c", FULL_DISK, str(bundle), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == f"error: File too large ({out})\n"
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_a_package_that_is_absent_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    bundle = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day")).bundle
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install 'chimle\[export\]'"):
        export(bundle, tmp_path / "tower.onnx", "onnx")
    assert not (tmp_path / "tower.onnx").exists()
