"""What a person does with a bundle: sample at any size, vary, import, show."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import chimle
from chimle.images.decode import read_rgb
from chimle.model_bundle import load_bundle, save_bundle
from chimle.settings import build_settings
from chimle.tasks import TASKS, Wiring
from chimle.tower.generator import Tower
from chimle.tower.published import our_name
from chimle.use.checkpoints import import_checkpoint, read_checkpoint
from tests.helpers import ROOT, SHARED, needs_shared
from tests.projects import TINY
from tests.test_tower import codes, conditioning

SIZES = [(32, 32), (45, 70), (1, 1), (9, 130)]


def tiny_bundle(folder: Path, task: str) -> Path:
    settings = build_settings({**TINY, "task": task, "preset": "test"}, "test")
    torch.manual_seed(0)
    tower = Tower(settings.tower, settings.definition.wiring)
    save_bundle(folder, tower, settings, {"seed": 0})
    return folder


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "ignore", "-m", "chimle", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("task", TASKS)
def test_any_size_and_type(tmp_path: Path, task: str) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", task))
    factor = TASKS[task].reduction
    for size in SIZES[:3] if factor > 1 else SIZES:
        array = picture(size)
        answers = model.sample(array, n=3, seed=4)
        assert [a.shape for a in answers] == [(size[0] * factor, size[1] * factor, 3)] * 3
        assert size == (1, 1) or not np.array_equal(answers[0], answers[1])
        assert np.array_equal(model.sample(Image.fromarray(array), n=1, seed=4)[0], answers[0])
        tensor = torch.from_numpy(array).permute(2, 0, 1) / 255
        assert torch.equal(
            (model.sample(tensor, n=1, seed=4)[0] * 255).round().to(torch.uint8),
            torch.from_numpy(answers[0]).permute(2, 0, 1),
        )


def test_a_sample_is_its_number_whatever_it_is_drawn_with(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    answers = model.sample(picture((32, 40)), n=6)
    alone = model.sample(picture((32, 40)), n=1, first=5)[0]
    assert np.abs(answers[5].astype(int) - alone).max() <= 1


def test_variations_keep_the_coarse_levels(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    array = picture((32, 32))
    base = model.sample(array, n=1, first=2)[0].astype(int)

    def spread(keep: int) -> float:
        varied = model.vary(array, 2, keep, n=6)
        return float(np.mean([np.abs(v - base).mean() for v in varied]))

    assert spread(4) <= 1 / 255 and spread(3) > 0
    assert spread(3) < spread(0)
    with pytest.raises(ValueError, match="of 4 levels"):
        model.vary(array, 2, 5)


def test_the_command_line_writes_answers_and_a_grid(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "super_resolution")
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(picture((40, 64))).save(photos / "a.png")
    Image.fromarray(picture((33, 32))).convert("CMYK").save(photos / "b.tif")
    done = run("sample", photos, "--model", bundle, "-n", 2, "-o", tmp_path / "out", "--degrade")
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"{x}_{y}.png" for x in "ab" for y in ("00", "01", "grid")]
    assert read_rgb(tmp_path / "out" / "a_00.png").shape == (32, 64, 3)
    few = tmp_path / "few"
    Image.fromarray(picture((2, 3))).save(photos / "c.png")
    varied = run("sample", photos / "c*", "--model", bundle, "-n", 1, "--from", 1, "-o", few)
    assert varied.returncode == 0, varied.stderr
    names = sorted(p.name for p in few.iterdir())
    assert names == ["c_from_01_keep_2_00.png", "c_from_01_keep_2_grid.png"]


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "evil.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (("sample", tmp_path / "none.png", "--model", bundle), "does not exist"),
        (("sample", tmp_path / "empty", "--model", bundle), "holds no pictures"),
        (("sample", tmp_path / "half.png", "--model", bundle, "-o", tmp_path / "o"), "is damaged"),
        (("sample", tmp_path / "half.png", "--model", tmp_path), "no model bundle"),
        (("show", tmp_path), "neither a model bundle nor a folder of pairs"),
        (
            ("import", tmp_path / "evil.pth", "--task", "night_to_day", "-o", tmp_path / "x"),
            "not unpickled",
        ),
    ):
        result = run(*arguments)
        assert result.returncode == 2, result
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        assert words in result.stderr
    assert not (tmp_path / "o").exists() and not (tmp_path / "x").exists()


def published_state(tower: Tower) -> dict[str, Tensor]:
    """The tower's parameters under every published name that means one of them."""
    own, state = tower.state_dict(), {}
    for level in range(1, tower.settings.levels + 1):
        modules = ["map_0.0", "feat.0", "style.sub.lr_conv.0", "out.0", "up.1", "up.3"]
        modules += [f"map.{2 * i}" for i in range(tower.settings.mapping_depth - 1)]
        for block in range(tower.settings.blocks):
            modules.append(f"style.sub.transform_{block}")
            for dense in (1, 2, 3):
                convolutions = (f"conv{c}.0" for c in range(1, 6))
                modules += [f"style.sub.{block}.RDB{dense}.{c}" for c in convolutions]
        for module in modules:
            for kind in ("weight", "weight_g", "weight_v", "bias"):
                name = f"level_{level}_{module}.{kind}"
                ours = our_name(name)
                if ours in own:
                    state[name] = own[ours]
    assert len(state) == len(own)
    return state


@pytest.mark.parametrize("task", ["super_resolution", "colourization", "decompression"])
@pytest.mark.parametrize("wrapped", [False, True])
@torch.no_grad()
def test_published_weights_bring_their_sizes(tmp_path: Path, task: str, wrapped: bool) -> None:
    settings = build_settings(
        {**TINY, "task": task, "preset": "test", "tower": {**TINY["tower"], "blocks": 2}}, "test"
    )
    tower = Tower(settings.tower, settings.definition.wiring).eval()
    state = published_state(tower)
    content = {f"module.{name}": value for name, value in state.items()} if wrapped else state
    training = {"epoch": 3, "netG": content, "optimizer": {"state": {}}}
    torch.save(training if wrapped else content, tmp_path / "weights.pth")
    imported, found = import_checkpoint(tmp_path / "weights.pth", task, 32)
    assert found.tower == settings.tower.model_copy(update={"initialisation": "published"})
    inputs = conditioning(tower, 2)
    for mine, theirs in zip(
        imported(inputs, codes(tower, 2)), tower(inputs, codes(tower, 2)), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_the_wrong_task_is_refused(tmp_path: Path) -> None:
    tower = Tower(
        build_settings({**TINY, "task": "decompression", "preset": "test"}, "test").tower,
        Wiring.GENERIC,
    )
    torch.save(published_state(tower), tmp_path / "weights.pth")
    result = run(
        "import", tmp_path / "weights.pth", "--task", "colourization", "-o", tmp_path / "x"
    )
    assert result.returncode == 2 and "draw 3 channels" in result.stderr


@needs_shared("parity/tim_generic.pt")
def test_recorded_weights_import_and_sample(tmp_path: Path) -> None:
    recorded = torch.load(SHARED / "parity" / "tim_generic.pt", weights_only=True)
    torch.save(recorded["state_dict"], tmp_path / "weights.pth")
    assert read_checkpoint(tmp_path / "weights.pth").keys() == recorded["state_dict"].keys()
    out = tmp_path / "bundle"
    arguments = ("--task", "decompression", "-o", out, "--resolution", 32)
    done = run("import", tmp_path / "weights.pth", *arguments)
    assert done.returncode == 0, done.stderr
    assert load_bundle(out).settings.tower.widths == tuple(
        recorded["config"]["num_residual_channels"]
    )
    shown = json.loads(run("show", out, "--json").stdout)
    assert shown["task"] == "decompression" and shown["levels"] == 4
