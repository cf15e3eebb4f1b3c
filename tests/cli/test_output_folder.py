"""Where a command cannot write, it says so before it reads its model or its images."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from PIL import Image

from tests.support.command import run
from tests.support.helpers import ROOT
from tests.support.projects import noise_image, tiny_bundle

MISSING = ("--model", "no-model")
COMMANDS: dict[str, tuple[object, ...]] = {
    "sample": ("sample", "no-image.png", *MISSING, "-o"),
    "score": ("score", "no-outputs", "--targets", "no-targets", "-o"),
    "import": ("import", "no-weights.pth", "--task", "colourization", "-o"),
    "export": ("export", *MISSING, "-o"),
    "pack": ("pack", *MISSING, "-o"),
    "show": ("show", "no-model", "--image"),
}
"""Commands whose input does not exist: a message about it would come too late."""


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_below_a_file_or_a_broken_link_is_refused_first(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file.txt", "link"):
        place = tmp_path / name / "inside" / "out"
        refused(run(*COMMANDS[command], place), f"{tmp_path / name} is no folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "link"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_is_never_written_over(tmp_path: Path, command: str) -> None:
    file = tmp_path / "file.txt"
    file.write_text("text")
    words = "is no folder" if command in ("sample", "score") else "exists already"
    refused(run(*COMMANDS[command], file), f"{file} {words}")
    assert file.read_text() == "text"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that its user may read alone; root's own are closed to the others."""
    with TemporaryDirectory() as name:
        folder = Path(name) if os.geteuid() == 0 else tmp_path
        folder.chmod(0o755)
        (folder / "locked").mkdir(mode=0o555)
        yield folder / "locked"


def test_a_folder_that_cannot_be_written_to_is_named(locked: Path) -> None:
    """In a process of another user where this one is root, who may write everywhere."""
    check = (
        "import os, sys; from pathlib import Path\n"
        "from chimle.cli.output_folder import check_folder\n"
        "os.geteuid() or os.setuid(65534); check_folder(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", check, str(locked / "a" / "b")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"UserError: {locked} cannot be written to" in done.stderr


def test_nothing_is_written_into_a_bundle_that_is_read(tmp_path: Path) -> None:
    """A file more, and a bundle is neither replaced by training nor as DVC recorded it."""
    bundle, photo = tiny_bundle(tmp_path / "bundle", "night_to_day"), tmp_path / "a.png"
    Image.fromarray(noise_image((8, 8))).save(photo)
    before = sorted(path.name for path in bundle.iterdir())
    inside = bundle / "more" / ".." / "out"
    for command in (
        ("sample", photo, "--model", bundle, "-n", 1, "-o", bundle),
        ("export", "--model", bundle, "-o", inside),
        ("pack", "--model", bundle, "-o", inside),
        ("show", bundle, "--image", inside),
    ):
        refused(run(*command), f"lies in {bundle}, which is only read")
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_who_works_in_a_bundle_gets_results_there_and_loses_nothing(tmp_path: Path) -> None:
    bundle, photo = tiny_bundle(tmp_path / "bundle", "night_to_day"), tmp_path / "a.png"
    Image.fromarray(noise_image((8, 8))).save(photo)
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    inside = bundle / "more"
    inside.mkdir()
    for folder, model in ((inside, ".."), (bundle, ".")):
        for command, out in (
            (("sample", photo, "--model", model, "-n", 1), "samples"),
            (("pack", "--model", model, "-o", "packed"), "packed"),
            (("show", model, "--image", "sheet.png"), "sheet.png"),
        ):
            done = run(*command, cwd=folder)
            assert done.returncode == 0, done
            assert (folder / out).exists()
    for name in ("weights.safetensors", "."):
        assert run("pack", "--model", ".", "-o", name, cwd=bundle).returncode == 2
    assert {path: path.read_bytes() for path in before} == before
