"""Bundles: the same bytes every time, and what saving replaces."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

import chimle
from chimle.bundles.bundle import _most_parameters, load_bundle
from chimle.bundles.pack import pack
from chimle.errors import UserError
from chimle.inference.load_model import load
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
from tests.support.command import run
from tests.support.projects import noise_image, tiny_bundle

TASK = "decompression"
FILES = ("weights.safetensors", "bundle.json")


def test_round_trip_and_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny_bundle(tmp_path / name, TASK)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    bundle = load_bundle(tmp_path / "a")
    assert bundle.settings.task == TASK
    assert bundle.provenance == {"seed": 0}
    assert not bundle.tower.training
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


SIZES = st.integers(1, 40)


@given(
    widths=st.lists(SIZES, min_size=1, max_size=3),
    growth=SIZES,
    blocks=st.integers(1, 2),
    noise=SIZES,
    style=st.tuples(SIZES, SIZES, st.integers(1, 3)),
    wiring=st.sampled_from(Wiring),
)
@hypothesis_settings(max_examples=20)
def test_no_tower_has_more_parameters_than_its_bound(
    widths: list[int],
    growth: int,
    blocks: int,
    noise: int,
    style: tuple[int, int, int],
    wiring: Wiring,
) -> None:
    settings = TowerSettings(
        resolution=64,
        widths=tuple(widths),
        growth=(growth,) * len(widths),
        blocks=blocks,
        noise_channels=noise,
        style_size=style[0],
        mapping_width=style[1],
        mapping_depth=style[2],
    )
    tower = Tower(settings, wiring)
    found = sum(parameter.numel() for parameter in tower.parameters())
    assert found <= _most_parameters(settings)


def test_loading_draws_no_random_number(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "a", TASK)
    before = torch.get_rng_state()
    load_bundle(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "a", TASK))
    folder = tmp_path / "photographs"
    folder.mkdir()
    model.save(folder)
    (folder / "README.md").write_text("# A card")
    model.save(folder)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    (folder / "cat.png").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"photographs holds cat\.png"):
        model.save(folder)
    assert (folder / "cat.png").read_bytes() == b"precious"
    with pytest.raises(UserError, match="is no folder"):
        model.save(folder / "cat.png")
    assert (folder / "cat.png").read_bytes() == b"precious"


def test_the_working_directory_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "a", TASK))
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(UserError, match="is the working directory"):
        model.save(".")


def test_a_zip_file_equals_the_folder(tmp_path: Path) -> None:
    bundle = load_bundle(tiny_bundle(tmp_path / "a", TASK))
    for name in ("one.zip", "two.zip"):
        pack(bundle, tmp_path / name, "cc0-1.0", tmp_path)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    again = load_bundle(tmp_path / "one.zip")
    assert again.license == "cc0-1.0"
    assert again.settings == bundle.settings
    state = bundle.tower.state_dict()
    assert all(torch.equal(state[name], v) for name, v in again.tower.state_dict().items())


def test_a_degradation_that_is_not_recorded_is_the_default(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "a", TASK)
    file = folder / "bundle.json"
    description = json.loads(file.read_text())
    assert description["degradation"] == {}
    assert load(folder).degradation.jpeg_quality == 1
    image = tmp_path / "a.png"
    Image.fromarray(noise_image((16, 24))).save(image)
    done = run("sample", image, "--model", folder, "--degrade", "-n", 1, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    description["degradation"] = {"jpeg_quality": 5, "night_noise": 0.1}
    file.write_text(json.dumps(description))
    assert load(folder).degradation.jpeg_quality == 5
    for damaged in ({"jpeg_quality": "low"}, {"jpeg_quality": 101}, {"jpeg_qualities": 5}):
        file.write_text(json.dumps(description | {"degradation": damaged}))
        with pytest.raises(UserError, match=r"`degradation` of the model.*`jpeg_qualit"):
            load(folder)


def test_packing_keeps_the_license(tmp_path: Path) -> None:
    chimle.load(tiny_bundle(tmp_path / "a", TASK)).save(tmp_path / "b", "cc-by-4.0")
    for options, expected in (((), "cc-by-4.0"), (("--license", "mit"), "mit")):
        out = tmp_path / f"{expected}.zip"
        done = run(
            "pack", "--model", tmp_path / "b", "--project", tmp_path, "-o", out, "--half", *options
        )
        assert done.returncode == 0, done.stderr
        assert load_bundle(out).license == expected
        with zipfile.ZipFile(out) as archive:
            assert f"license: {expected}\n" in archive.read("README.md").decode()
