"""The wheel stands alone: pretrained models, templates and types, but no stages and flows."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.support.helpers import ROOT
from tests.support.projects import noise_image

PRETRAINED = ("colourization", "night_to_day", "super_resolution")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, since building writes beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        ROOT / "chimle", source / "chimle", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
def test_it_holds_the_library_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names} == {"chimle", f"{wheel.name[:12]}.dist-info"}
    assert {"chimle/py.typed", "chimle/report/page.html.j2", "chimle/bundles/card.md.j2"} <= names
    assert {f"chimle/bundles/pretrained/{task}.zip" for task in PRETRAINED} <= names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "chimle").rglob("*.py")}
    assert sources <= names


@pytest.mark.slow
def test_it_samples_outside_of_a_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    Image.fromarray(noise_image((64, 48))).save(work / "photo.png")
    program = "import sys, chimle; print(chimle.__file__); from chimle.cli.main import main; main()"
    words = ("sample", "photo.png", "--task", "colourization", "--degrade", "-n", "2")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *words],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
    assert "the pretrained model of the package" in done.stderr
    names = {path.name for path in (work / "samples").iterdir()}
    assert names == {"photo_00.png", "photo_01.png", "photo_grid.png"}


def test_messages_name_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named: set[str] = set()
    for path in [*(ROOT / "chimle").rglob("*.py"), *(ROOT / "docs").glob("*.md")]:
        named |= set(re.findall(r"pip install '(?:chimle|\.)\[(\w+)\]'", path.read_text()))
    assert len(named) >= 5
    assert named <= set(extras)
