"""A repository with this code and a tiny preset, on which DVC and the flows really run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from chimle.io.file_locks import locked
from chimle.settings.reading import PRESET_SECTIONS
from tests.support.helpers import ROOT
from tests.support.projects import TINY

BIN = Path(sys.executable).parent
TASKS = ["super_resolution", "colourization", "decompression", "night_to_day"]


def environment(root: Path) -> dict[str, str]:
    """Quiet, single-threaded (so that hashes compare), offline, with time for a busy machine."""
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
        "TORCH_HOME": str(root / "scratch" / "torch"),
    }


def run(root: Path, *command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    """Run a command in a repository; returns all that it printed."""
    done = subprocess.run(
        command,
        cwd=root,
        env=environment(root) | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


_START = {f"GIT_{who}_DATE": "2022-11-28T00:00:00Z" for who in ("AUTHOR", "COMMITTER")}
"""Date of the first commit: the same content is the same commit everywhere."""


def commit(root: Path, message: str, env: dict[str, str] | None = None) -> str:
    """Commit everything; returns the hash."""
    run(root, "git", "add", "-A")
    name = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run(root, "git", *name, "commit", "-qm", message, env=env)
    return run(root, "git", "rev-parse", "HEAD").strip()


def tiny_repository(root: Path, train: dict[str, Any] | None = None) -> Path:
    """This code with a tiny preset and no results, committed.

    Args:
        root: directory to fill.
        train: what the preset's training has otherwise than `TINY`.
    """
    for name in ("chimle", "stages"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    for name in ("sources", "weights"):
        shutil.copytree(ROOT / "data" / name, root / "data" / name)
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, root / ".dvc" / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["tasks"] = {
        task: {section: dict.fromkeys(fields) for section, fields in sections.items()}
        | {"source": {"kind": "builtin"}}
        for task, sections in params["tasks"].items()
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "presets").mkdir()
    tiny: dict[str, Any] = TINY
    pair, training = {**tiny["pair"], "limit": 6}, {**tiny["train"], **(train or {})}
    tasks: dict[str, Any] = {task: {section: {} for section in PRESET_SECTIONS} for task in TASKS}
    preset = {**tiny, "pair": pair, "train": training, "tasks": tasks}
    (root / "presets" / "demo.yaml").write_text(yaml.safe_dump(preset))
    run(root, "git", "init", "-q", "-b", "main")
    commit(root, "start", _START)
    return root


def reference_repository(folder: Path) -> Path:
    """A tiny repository in a folder, with the results of a serial `dvc repro`; made once."""
    root, done = folder / "reference", folder / "reference.done"
    with locked(folder / "reference.lock"):
        if not done.exists():
            shutil.rmtree(root, ignore_errors=True)
            run(tiny_repository(root), "dvc", "repro")
            commit(root, "results")
            done.touch()
    return root


def stages_run(output: str) -> set[str]:
    """Names of the stages that DVC ran."""
    return set(re.findall(r"Running stage '([^'@]+)", output))


def set_parameter(root: Path, task: str, section: str, **values: float | str) -> None:
    """Write fields of one task's section into `params.yaml`."""
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["tasks"][task][section] |= values
    path.write_text(yaml.safe_dump(params))


def outputs(lock: str) -> dict[str, str]:
    """Path and hash of every output in the text of a `dvc.lock`."""
    stages = yaml.safe_load(lock)["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
