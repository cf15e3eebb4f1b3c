"""Bundles that are damaged or hostile: one sentence, and nothing unpacked, waited for or run."""

import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from chimle.bundles.bundle import load_bundle
from chimle.bundles.pack import pack
from chimle.errors import UserError
from chimle.inference.load_model import load
from tests.support.command import run
from tests.support.helpers import Evil
from tests.support.projects import tiny_bundle

TASK = "decompression"
FILES = ("weights.safetensors", "bundle.json")


def edited(folder: Path, section: str = "tower", **values: object) -> str:
    """The description with changed settings."""
    description = json.loads((folder / "bundle.json").read_text())
    description["settings"][section].update(values)
    return json.dumps(description)


def test_each_bad_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no model bundle"):
        load_bundle(tmp_path)
    folder = tiny_bundle(tmp_path / "a", TASK)
    weights, description = (folder / name for name in FILES)
    good, text = weights.read_bytes(), description.read_text()
    mark = tmp_path / "mark"
    cases = {
        "is damaged": (good[:100], text),
        "is another": (good[:-1] + bytes([good[-1] ^ 1]), text),
        "is larger than": (good + b" " * 2**20, text),
        "does not fit": (good, edited(folder, style_size=5)),
        "update this program": (good, text.replace('"format": 2', '"format": 3')),
        "no model bundle of this project": (good, "{}"),
        "unknown parameter": (good, text.replace('"blocks"', '"blokcs"')),
        "`tower.blocks`": (good, edited(folder, blocks=10**9)),
        "`tower.mapping_depth`": (good, edited(folder, mapping_depth=10**9)),
        "levels": (good, edited(folder, widths=[8] * 999, growth=[8] * 999)),
        "`tower.mapping_width`": (good, edited(folder, mapping_width=2**62)),
        "describes no possible tower": (
            good,  # A filter's side grows with the resolution.
            edited(folder, "train", equaliser=0.5).replace(
                '"resolution": 32', f'"resolution": {2**40}'
            ),
        ),
        r"bundle\\.json is damaged": (good, "[" * 10**5),
        "SHA-256 is another": (pickle.dumps(Evil(mark)), text),
        "weights.safetensors is damaged": (
            pickle.dumps(Evil(mark)),
            text.replace("weights_sha256", "note"),
        ),
    }
    for message, (content, words) in cases.items():
        weights.write_bytes(content)
        description.write_text(words)
        with pytest.raises(UserError, match=message.replace("\\\\", "\\")):
            load_bundle(folder)
    assert not mark.exists()


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "a", TASK)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "bundle.json", "bundle.json")
        archive.writestr("weights.safetensors", bytes(2**26))
    with pytest.raises(UserError, match="is larger than"):
        load_bundle(tmp_path / "bomb.zip")
    large = json.loads(edited(folder, widths=[256] * 4, growth=[256] * 4))
    del large["weights_sha256"]
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", json.dumps(large))
        archive.writestr("weights.safetensors", bytes(2**26))
    with pytest.raises(UserError, match="safetensors unpacks to 67,108,864 bytes, far more"):
        load_bundle(tmp_path / "large.zip")
    (tmp_path / "foreign.zip").write_bytes((tmp_path / "bomb.zip").read_bytes()[:1000])
    with pytest.raises(UserError, match="is damaged or no model bundle"):
        load_bundle(tmp_path / "foreign.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_compressed_bundle_is_one_sentence(tmp_path: Path, method: int) -> None:
    folder, file = tiny_bundle(tmp_path / "a", TASK), tmp_path / "one.zip"
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in FILES[::-1]:
            archive.write(folder / name, name)
    load_bundle(file)
    content = bytearray(file.read_bytes())
    content[60:100] = b"\xff" * 40
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"one\.zip is damaged or no model bundle"):
        load_bundle(file)


def test_a_promise_of_many_weights_takes_no_memory(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "a", TASK)
    (folder / "bundle.json").write_text(edited(folder, widths=[2**20] * 4, growth=[2**20] * 4))
    with pytest.raises(UserError, match=r"weights\.safetensors is damaged|does not fit"):
        load_bundle(folder)


@pytest.mark.parametrize("name", [*FILES, "."])
def test_a_device_or_pipe_is_not_read(tmp_path: Path, name: str) -> None:
    """A pipe would be waited for, and some devices never end."""
    place = (tiny_bundle(tmp_path / "bundle", TASK) / name).resolve()
    if place.is_dir():
        place = tmp_path / "bundle.zip"
    place.unlink(missing_ok=True)
    place.symlink_to(os.devnull)
    with pytest.raises(UserError, match=f"{place} is no regular file: there is no model bundle"):
        load(tmp_path / "bundle.zip" if name == "." else tmp_path / "bundle")


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("F8_E8M0", [1], 1), ("F4", [2], 1), ("F16", [0, 2**40, 2**40], 0), ("F99", [1], 1)],
)
def test_numbers_that_torch_does_not_hold_are_one_sentence(
    tmp_path: Path, dtype: str, shape: list[int], size: int
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", TASK)
    tensor = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({"weights": tensor}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(size)
    (bundle / "weights.safetensors").write_bytes(content)
    description = json.loads((bundle / "bundle.json").read_text())
    del description["weights_sha256"]
    (bundle / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"weights\.safetensors (is damaged|does not fit)"):
        load(bundle)


@pytest.mark.parametrize(
    "value", [torch.tensor(float("nan")), torch.tensor(float("-inf")), torch.tensor(1j)]
)
def test_weights_that_are_no_finite_numbers_draw_no_black_images(
    tmp_path: Path, value: Tensor
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", TASK)
    state = load_safetensors((bundle / "weights.safetensors").read_bytes())
    name = sorted(state)[7]
    state[name] = state[name].to(value.dtype)
    state[name].view(-1)[-1] = value
    (bundle / "weights.safetensors").write_bytes(save_safetensors(state))
    description = json.loads((bundle / "bundle.json").read_text())
    del description["weights_sha256"]
    (bundle / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=f"`{re.escape(name)}` has values that are no finite"):
        load(bundle)


def test_a_bundle_s_texts_cannot_control_the_terminal(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "a", TASK)
    description = json.loads((folder / "bundle.json").read_text())
    description["license"] = "mit\x1b]0;title\x07\nparameters 1"
    description["provenance"] = {"seed": "\x1b[2J", "commit": "\u202eabc"}
    (folder / "bundle.json").write_text(json.dumps(description))
    done = run("show", folder)
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "mit\\x1b]0;title\\x07\\nparameters 1" in done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A bundle in one file, and its weights; of one level, since it is loaded many times."""
    folder = tmp_path_factory.mktemp("packed")
    bundle = load_bundle(tiny_bundle(folder / "a", TASK, levels=1))
    pack(bundle, folder / "one.zip", "cc0-1.0", folder)
    return folder / "one.zip", bundle.tower.state_dict()


@given(data=st.data())
@hypothesis_settings(max_examples=60)
def test_a_changed_byte_never_gives_other_weights(
    packed: tuple[Path, dict[str, Tensor]], data: st.DataObject
) -> None:
    """With any byte changed, loading gives the same tower or one sentence."""
    path, expected = packed
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    changed = path.with_name("changed.zip")
    changed.write_bytes(content)
    try:
        found = load_bundle(changed).tower.state_dict()
    except UserError:
        return
    assert found.keys() == expected.keys()
    assert all(torch.equal(expected[name], value) for name, value in found.items())
