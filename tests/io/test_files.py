"""Atomic writes, permissions and locks."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chimle.errors import first_line
from chimle.io.files import locked, write_text


def test_a_held_lock_is_reported_or_waited_for(tmp_path: Path) -> None:
    """A second holder gets None without waiting; a freed lock can be taken again."""
    path = tmp_path / "folder" / "lock"
    waited: list[str] = []
    with locked(path) as first:
        assert first is not None
        with locked(path, wait=False, on_wait=lambda: waited.append("x")) as second:
            assert second is None
    assert not waited
    with locked(path, wait=False) as again:
        assert again is not None


def test_a_child_keeps_an_inherited_lock(tmp_path: Path) -> None:
    """The descriptor can be handed to a child, which then holds the lock."""
    path = tmp_path / "lock"
    with locked(path) as descriptor:
        assert descriptor is not None
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            pass_fds=(descriptor,),
        )
    with locked(path, wait=False) as other:
        assert other is None
    child.communicate()
    with locked(path, wait=False) as other:
        assert other is not None


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    """A private umask makes private files, a group's umask files that the group can write."""
    script = (
        "import sys; from pathlib import Path; from chimle.io.files import write_text, "
        "replaced_folder\n"
        "write_text(Path(sys.argv[1]), 'x')\n"
        "with replaced_folder(Path(sys.argv[1] + '-folder')): pass\n"
    )
    for mask in (0o077, 0o002):
        path = tmp_path / f"{mask:o}"
        command = [sys.executable, "-c", script, str(path)]
        subprocess.run(command, check=True, umask=mask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask
        assert Path(f"{path}-folder").stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that cannot be finished changes nothing and leaves nothing beside it."""
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_first_line_of_an_exception() -> None:
    """The first line that says something; the class where the message is empty."""
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError("\n one \ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError(" \n")) == "ValueError"
