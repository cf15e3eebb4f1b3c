"""The model of a command: what its messages tell of an address."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from chimle.images.decode import write_png
from tests.support.command import run
from tests.support.projects import tiny_bundle


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Git repository with a model for colourization."""
    root = tmp_path_factory.mktemp("repository")
    tiny_bundle(root / "bundle", "colourization")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "A model")):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root


def test_a_model_for_another_task_is_named_without_password(
    repository: Path, tmp_path: Path
) -> None:
    address = f"git+file://user:SECRET@localhost{repository}@HEAD:bundle"
    done = run(
        "export", "--model", address, "--task", "decompression", "-o", tmp_path / "tower.onnx"
    )
    assert done.returncode == 2, done.stderr
    assert "is a model for colourization, not for decompression" in done.stderr, done.stderr
    assert "SECRET" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "address",
    [
        "https://user:SECRET@127.0.0.1:9/model.zip",
        "git+https://user:SECRET@127.0.0.1:9/models",
        "git+https://user:SECRET@127.0.0.1:9/models:bundle",
        "git+ext://user:SECRET@127.0.0.1:9/models@HEAD:bundle",
        "hf://user:SECRET@host/name/more",
    ],
)
@pytest.mark.parametrize(
    "command", [["show"], ["explore", "--model"], ["pack", "-o", "x", "--model"]]
)
def test_a_refused_address_is_printed_without_password(command: list[str], address: str) -> None:
    done = run(*command, address)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "SECRET" not in done.stdout + done.stderr


def test_a_task_has_its_own_model_and_the_pretrained_one(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "models" / "colourization", "colourization")
    write_png(tmp_path / "grey.png", np.full((16, 16, 3), 99, dtype=np.uint8))
    draw = ("sample", tmp_path / "grey.png", "-n", "1")

    def sizes(address: str) -> list[int]:
        shown = run("show", address, "--json", cwd=tmp_path)
        return list(json.loads(shown.stdout)["widths"])

    own = run(*draw, "--task", "colourization", "-o", "own", cwd=tmp_path)
    assert own.returncode == 0, own.stderr
    assert "models/colourization (the package's: --model pretrained:colourization)" in own.stderr
    by_address = run(*draw, "--model", "colourization", "-o", "own", cwd=tmp_path)
    assert by_address.returncode == 0, by_address.stderr
    assert by_address.stderr.splitlines()[0] == own.stderr.splitlines()[0]
    named = run(*draw, "--model", "pretrained:colourization", "-o", "other", cwd=tmp_path)
    assert named.returncode == 0, named.stderr
    first, second = (next((tmp_path / out).rglob("*.png")) for out in ("own", "other"))
    assert first.read_bytes() != second.read_bytes()
    assert sizes("colourization") == sizes("models/colourization")
    assert sizes("colourization") != sizes("pretrained:colourization")


@pytest.mark.parametrize("option", [(), ("--no-such-option",), ("--port",)])
def test_a_mistaken_command_line_is_printed_without_password(option: tuple[str, ...]) -> None:
    done = run("explore", *option, "s3://KEY:SECRET@bucket/model?token=HIDDEN")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert "SECRET" not in done.stderr
    assert "HIDDEN" not in done.stderr


def test_a_refused_place_at_a_hub_is_printed_without_password(tmp_path: Path) -> None:
    model = tiny_bundle(tmp_path / "bundle", "colourization")
    done = run("pack", "--model", model, "--push", "https://user:SECRET@host/name")
    assert done.returncode == 2, done.stderr
    assert "SECRET" not in done.stderr
