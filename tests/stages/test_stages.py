"""Stages from the command line: bad input is one sentence and exit code 2."""

import errno
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from chimle.errors import guarded
from chimle.io import files
from tests.support.helpers import ROOT
from tests.support.in_process import in_process
from tests.support.projects import tiny_bundle, write_photographs, write_project

TASK = "decompression"


def run(stage: str, root: Path, task: str = TASK) -> subprocess.CompletedProcess[str]:
    return in_process(import_module(f"stages.{stage}").command, task, "--root", root)


def run_alone(stage: str, root: Path, task: str = TASK) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", task, "--root", str(root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def refused(result: subprocess.CompletedProcess[str], words: str) -> None:
    assert result.returncode == 2, result
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_each_bad_project_gives_one_sentence(tmp_path: Path) -> None:
    refused(run_alone("fetch", tmp_path), "params.yaml does not exist")
    source = {"source": {"kind": "folder", "path": "photos"}}
    write_project(tmp_path, {TASK: source})
    refused(run("fetch", tmp_path, "decompresion"), "unknown task 'decompresion'")
    refused(run("fetch", tmp_path), "is no directory")
    refused(run("pair", tmp_path), "run stages.fetch first")
    write_photographs(tmp_path / "photos", count=2)
    Image.new("RGB", (1, 1)).save(tmp_path / "photos" / "dot.png")
    assert run("fetch", tmp_path).returncode == 0
    refused(run("pair", tmp_path), "dot.png is 1x1")
    assert not (tmp_path / "data" / "pairs").exists() or not any(
        (tmp_path / "data" / "pairs").iterdir()
    )
    write_project(tmp_path, {TASK: {**source, "train": {"batch_size": -1}}})
    refused(run("check", tmp_path), "`train.batch_size` = -1")
    refused(run("train", tmp_path), "`train.batch_size` = -1")


def test_settings_that_no_memory_holds_are_one_sentence(tmp_path: Path) -> None:
    """As a batch that is too large for a GPU; here it is what no machine holds."""
    source = {"source": {"kind": "folder", "path": "photos"}}
    write_photographs(tmp_path / "photos")
    write_project(tmp_path, {TASK: source})
    for stage in ("fetch", "pair"):
        assert run(stage, tmp_path).returncode == 0
    tiny_bundle(tmp_path / "models" / TASK, TASK)
    huge = 10**6
    for stage, own, words in (
        ("train", {"tower": {"mapping_width": huge}}, "or the sizes of `tower`"),
        ("evaluate", {"evaluate": {"samples": 10**15}}, "`evaluate.samples`"),
    ):
        write_project(tmp_path, {TASK: {**source, **own}})
        result = run(stage, tmp_path)
        refused(result, words)
        assert "error: there is too little memory (" in result.stderr
    assert not (tmp_path / "curves").exists()
    for section, field in (("tower", "style_size"), ("tower", "widths"), ("search", "memory")):
        value = [2**62] * 4 if field == "widths" else 2**62
        write_project(tmp_path, {TASK: {**source, section: {field: value}}})
        refused(run("train", tmp_path), f"`{section}.{field}` = ")


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operating system's own error, as a write to a full disk raises it."""
    (tmp_path / "result").write_text("good")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "result"))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit) as stopped:
        guarded(lambda: files.write_text(tmp_path / "result", "half"))
    assert stopped.value.code == 2
    assert "no space is left" in capsys.readouterr().err
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("result", "good")]
