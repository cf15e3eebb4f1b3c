"""Import of published checkpoints, and comparison with recorded outputs."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from chimle.bundles.bundle import load_bundle
from chimle.bundles.parity import compare
from chimle.bundles.published_checkpoints import import_checkpoint, read_checkpoint
from chimle.errors import UserError
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
from chimle.tower.published_names import our_name
from tests.support.command import run
from tests.support.helpers import SHARED, needs_shared
from tests.support.projects import TINY
from tests.tower.test_tower import codes, conditioning

TASK = "decompression"


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
        RunSettings,
        {**TINY, "task": task, "preset": "test", "tower": {**TINY["tower"], "blocks": 2}},
        "test",
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
        build_settings(
            RunSettings, {**TINY, "task": "decompression", "preset": "test"}, "test"
        ).tower,
        Wiring.GENERIC,
    )
    torch.save(published_state(tower), tmp_path / "weights.pth")
    result = run(
        "import", tmp_path / "weights.pth", "--task", "colourization", "-o", tmp_path / "x"
    )
    assert result.returncode == 2
    assert "draw 3 channels" in result.stderr


def test_a_license_without_a_bundle_is_refused(tmp_path: Path) -> None:
    done = run("import", tmp_path / "w.pth", "--task", TASK, "--check", "r.pt", "--license", "mit")
    assert done.returncode == 2
    assert done.stderr == "error: `--license` changes nothing without `-o`: leave it out\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_no_finite_numbers_leave_no_bundle(tmp_path: Path, value: float) -> None:
    settings = build_settings(RunSettings, {**TINY, "task": TASK, "preset": "test"}, "test")
    state = published_state(Tower(settings.tower, Wiring.GENERIC))
    state["level_2_out.0.bias"] = torch.full((3,), value, dtype=torch.float64)
    torch.save(state, tmp_path / "weights.pth")
    done = run("import", tmp_path / "weights.pth", "--task", TASK, "-o", tmp_path / "x")
    assert done.returncode == 2
    assert "no finite numbers" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_checkpoint_that_holds_itself_is_one_sentence(tmp_path: Path) -> None:
    endless: dict[str, object] = {"epoch": 3}
    endless["state"] = endless
    torch.save(endless, tmp_path / "weights.pth")
    done = run("show", tmp_path / "weights.pth")
    assert done.returncode == 2
    assert "holds no published generator" in done.stderr


@pytest.mark.parametrize("resolution", [4, 24, 0, -16])
def test_a_resolution_that_levels_do_not_divide_is_named_as_it_was_typed(
    tmp_path: Path, resolution: int
) -> None:
    settings = build_settings(RunSettings, {**TINY, "task": TASK, "preset": "test"}, "test")
    torch.save(published_state(Tower(settings.tower, Wiring.GENERIC)), tmp_path / "weights.pth")
    weights = ("import", tmp_path / "weights.pth", "--task", TASK, "-o", tmp_path / "x")
    done = run(*weights, "--resolution", resolution)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: `--resolution` {resolution}: this generator has 4 levels: give a multiple of 16, "
        "at least 8\n"
    )


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
    assert shown["task"] == "decompression"
    assert shown["levels"] == 4


@pytest.mark.parametrize("task", ["super_resolution", "colourization", "decompression"])
@torch.no_grad()
def test_recorded_outputs_are_compared(tmp_path: Path, task: str) -> None:
    settings = build_settings(RunSettings, {**TINY, "task": task, "preset": "test"}, "test")
    tower = Tower(settings.tower, settings.definition.wiring).eval()
    torch.save(published_state(tower), tmp_path / "weights.pth")
    inputs, drawn = conditioning(tower, 2), codes(tower, 2)
    flat = [torch.cat((code.style, code.noise.flatten(1)), dim=1) for code in drawn]
    recorded = {"inputs": inputs, "codes": flat, "outputs": tower(inputs, drawn)}
    torch.save(recorded, tmp_path / "recorded.pt")
    command = ("import", tmp_path / "weights.pth", "--task", task, "--check")
    same = run(*command, tmp_path / "recorded.pt")
    assert same.returncode == 0, same.stderr
    assert "outputs equal" in same.stdout, same.stderr
    recorded["outputs"][2] = (recorded["outputs"][2] * 0.98).contiguous()
    torch.save(recorded, tmp_path / "other.pt")
    other = run(*command, tmp_path / "other.pt", "-o", tmp_path / "bundle")
    assert other.returncode == 2
    assert "outputs differ from" in other.stderr
    assert not (tmp_path / "bundle").exists()
    torch.save({"inputs": inputs}, tmp_path / "half.pt")
    assert "is no recording" in run(*command, tmp_path / "half.pt").stderr


@torch.no_grad()
def test_what_is_not_compared_is_not_called_equal(tmp_path: Path) -> None:
    settings = build_settings(RunSettings, {**TINY, "task": TASK, "preset": "test"}, "test")
    tower = Tower(settings.tower, Wiring.GENERIC).eval()
    inputs, drawn = conditioning(tower, 2), codes(tower, 2)
    flat = [torch.cat((code.style, code.noise.flatten(1)), dim=1) for code in drawn]
    outputs = tower(inputs, drawn)
    file = tmp_path / "recorded.pt"
    for count in (0, 2):
        recorded = {"inputs": inputs, "codes": flat[:count], "outputs": outputs[:count]}
        torch.save(recorded, file)
        with pytest.raises(UserError, match=f"`codes` of {count} levels, these weights have 4"):
            compare(tower, file)
    torch.save({"inputs": inputs, "codes": flat, "outputs": [*outputs[:3], outputs[3] / 0]}, file)
    with pytest.raises(UserError, match="outputs differ from"):
        compare(tower, file)
    outputs[1][0, 0, 0, 0] = torch.nan
    torch.save({"inputs": inputs, "codes": flat, "outputs": outputs}, file)
    with pytest.raises(UserError, match="outputs differ from"):
        compare(tower, file)


@needs_shared("parity/tim_generic.pt")
def test_a_file_can_hold_weights_and_recording() -> None:
    recorded = SHARED / "parity" / "tim_generic.pt"
    done = run("import", recorded, "--task", "decompression", "--check", recorded)
    assert done.returncode == 0, done.stderr
    assert "largest difference" in done.stdout, done.stderr


def test_a_checkpoint_is_shown(tmp_path: Path) -> None:
    settings = build_settings(
        RunSettings, {**TINY, "task": "colourization", "preset": "test"}, "test"
    )
    state = published_state(Tower(settings.tower, settings.definition.wiring))
    torch.save(state, tmp_path / "weights.pth")
    shown = json.loads(run("show", tmp_path / "weights.pth", "--json").stdout)
    assert shown["may_be_for"] == ["colourization"]
    assert shown["widths"] == list(settings.tower.widths)


@pytest.mark.parametrize(
    "parameters",
    [
        {"feat.0.weight_v": (3, 3, 3, 3)},
        {"out.0.weight_v": ()},
        {
            "out.0.weight_v": (2, 3, 3, 3),
            "feat.0.weight_v": (3,),
            "style.sub.0.RDB1.conv1.0.weight_v": (2, 2),
            "map_0.0.weight": (2,),
        },
    ],
)
def test_each_strange_checkpoint_is_one_sentence(
    tmp_path: Path, parameters: dict[str, tuple[int, ...]]
) -> None:
    path = tmp_path / "weights.pth"
    state = {f"level_1_{name}": torch.zeros(shape) for name, shape in parameters.items()}
    torch.save(state, path)
    for command in (("show", path), ("import", path, "--task", "colourization", "--check", path)):
        done = run(*command)
        assert done.returncode == 2
        assert done.stderr.startswith("error: the checkpoint")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02R.", b"\x80\x020.", b"\x80\x02}K\x01K"])
def test_each_damaged_checkpoint_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    for command in (
        ("show", path),
        ("import", path, "--task", "night_to_day", "--check", path),
    ):
        done = run(*command)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
