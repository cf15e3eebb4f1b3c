"""The Makefile in a checkout whose folder has a space in its name, without installing anything."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.helpers import ROOT
from tests.support.waiting import wait_until

PYTHON = """#!/bin/sh
# Stands for Python: logs its arguments, and makes an environment that holds copies of itself.
echo "$(basename "$0") $*" >> "{log}"
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin" && for name in python dvc chimle; do cp "$0" "$3/bin/$name"; done
elif [ "$1 $2" = "-m pip" ] && [ -e "{log}.no-network" ]; then
    echo "ERROR: no network" && exit 1
elif [ "$1 $2" = "-m flows.serve" ]; then
    trap 'echo stopped >> "{log}"; exit 0' INT TERM
    echo started >> "{log}"
    while [ ! -e "{log}.end" ]; do sleep 0.1; done
fi
"""


def make_checkout(folder: Path) -> tuple[list[str], Path, Path]:
    """The beginning of a `make` command, the checkout that it works in, and the log of Python."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    checkout, log = folder / "my own folder", folder / "log"
    (checkout / ".git").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, checkout)
    python = folder / "python stub"
    python.write_text(PYTHON.format(log=log))
    python.chmod(0o755)
    return [make, "--directory", str(checkout), f"PYTHON={python}"], checkout, log


def test_a_checkout_in_a_folder_with_a_space(tmp_path: Path) -> None:
    command, checkout, log = make_checkout(tmp_path)
    for target in ("install", "run"):
        done = subprocess.run([*command, target], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (checkout / ".venv" / ".installed").is_file()
    lines = log.read_text().splitlines()
    assert lines[0] == "python stub -m venv .venv"
    assert sum("-m pip install" in line for line in lines) == 2
    assert lines[-3:] == ["python -m stages.check", "dvc repro", "python -m stages.summary"]


def test_an_environment_that_was_moved_or_copied_is_an_error(tmp_path: Path) -> None:
    command, checkout, log = make_checkout(tmp_path)
    subprocess.run([*command, "install"], check=True)
    moved = shutil.copytree(checkout, tmp_path / "another folder", symlinks=True)
    before = log.read_text()
    command[command.index(str(checkout))] = str(moved)
    done = subprocess.run([*command, "run"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"was made as {checkout / '.venv'}, which" in done.stdout
    assert log.read_text() == before
    shutil.rmtree(moved / ".venv")
    subprocess.run([*command, "run"], check=True)
    assert "stages.check" in log.read_text()


def test_clean_removes_the_scratch_folders_of_all_projects(tmp_path: Path) -> None:
    command, checkout, _ = make_checkout(tmp_path)
    for project in (".", "showcase", "comparison"):
        (checkout / project / "scratch" / "train").mkdir(parents=True)
        (checkout / project / "dvc.yaml").touch()
    subprocess.run([*command, "clean"], check=True)
    assert not list(checkout.rglob("scratch"))
    assert len(list(checkout.rglob("dvc.yaml"))) == 3


def test_what_cannot_be_installed_is_an_error_each_time(tmp_path: Path) -> None:
    command, checkout, log = make_checkout(tmp_path)
    subprocess.run([*command, "install"], check=True)
    mine = checkout / ".venv" / "mine"
    mine.write_text("installed before, as PyTorch's CPU build")
    log.with_name("log.no-network").touch()
    # A pull brought another lock.
    later = time.time() + 60
    os.utime(checkout / "requirements.lock", (later, later))
    for _ in range(2):
        done = subprocess.run([*command, "run"], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "ERROR: no network" in done.stdout
        assert mine.exists()
    assert "stages" not in log.read_text()


def test_the_service_of_the_guide_stops_what_make_has_started(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "howto-schedule.md").read_text()
    named = re.search(r"^KillSignal=(\w+)$", guide, re.MULTILINE)
    command, _, log = make_checkout(tmp_path)
    service = subprocess.Popen([*command, "serve"], start_new_session=True)
    wait_until(lambda: log.exists() and "started" in log.read_text(), 120)
    # As systemd with KillMode=mixed: to the first process alone.
    service.send_signal(getattr(signal, named[1]) if named else signal.SIGTERM)
    try:
        service.wait(120)
    finally:
        log.with_name("log.end").touch()
    assert log.read_text().splitlines()[-1] == "stopped"
