"""Atomic writes and permissions."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from chimle.errors import UserError, first_line
from chimle.io.files import put_in_place, replaced_folder, resolved, shortened, write_text


def test_a_full_disk_keeps_what_a_folder_of_another_disk_was_to_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    path = tmp_path / "pairs"
    path.mkdir()
    (path / "old").write_text("old")

    def full(_source: str, target: str, **_more: object) -> None:
        Path(target).mkdir()
        (Path(target) / "new").write_text("n")
        raise OSError(errno.ENOSPC, "No space left on device")

    with tempfile.TemporaryDirectory(dir=memory) as other:
        folder = Path(other) / "staging"
        folder.mkdir()
        (folder / "new").write_text("new")
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copytree", full)
            with pytest.raises(OSError, match="No space left"):
                put_in_place(folder, path)
        assert [file.name for file in path.iterdir()] == ["old"]
        put_in_place(folder, path)
        assert not folder.exists()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["pairs"]


def test_a_process_that_ends_while_a_folder_is_moved_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one would take what is left for all of it, as a finished pairing's work."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    remove = shutil.rmtree

    def killed(path: Path, *arguments: object, **more: object) -> None:
        if not Path(path).is_relative_to(memory) or not Path(path).exists():
            return remove(path, *arguments, **more)  # type: ignore[arg-type]
        (Path(path) / "a").unlink()
        raise KeyboardInterrupt

    with tempfile.TemporaryDirectory(dir=memory) as other:
        folder = Path(other) / "staging"
        folder.mkdir()
        for name in ("a", "b"):
            (folder / name).write_text(name)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", killed)
            with pytest.raises(KeyboardInterrupt):
                put_in_place(folder, tmp_path / "pairs")
        assert not folder.exists()
    assert sorted(file.name for file in (tmp_path / "pairs").iterdir()) == ["a", "b"]


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


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "\udcff" * 250])
def test_names_as_long_as_file_systems_allow(tmp_path: Path, name: str) -> None:
    """Temporary names beside a file or folder are not longer than its own."""
    path = tmp_path / name
    for text in ("first", "second"):
        write_text(path, text)
        assert path.read_text() == text
    path.unlink()
    for text in ("first", "second"):
        with replaced_folder(path) as folder:
            write_text(folder / "file", text)
        assert (path / "file").read_text() == text
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - names only
    names = {shortened(f"{name}{end}", 180) for end in "ab"}
    assert len(names) == 2
    assert max(len(os.fsencode(one)) for one in names) <= 180


def test_a_folder_that_is_a_link_is_replaced_where_it_leads(tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    link.symlink_to(disk)
    for text in ("first", "second"):
        with replaced_folder(link) as folder:
            (folder / "a.txt").write_text(text)
        assert link.is_symlink()
        assert (disk / "a.txt").read_text() == text
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "link"}


@pytest.mark.parametrize("below", ["", "more/and/more"])
def test_a_loop_of_links_is_one_sentence(tmp_path: Path, below: str) -> None:
    """In every version of Python, and before anything is written."""
    (tmp_path / "loop").symlink_to("other")
    (tmp_path / "other").symlink_to("loop")
    (tmp_path / "filled").mkdir()
    path = tmp_path / "loop" / below
    with pytest.raises(UserError, match=f"^{path} is a loop of symbolic links"):
        resolved(path)
    with pytest.raises(UserError, match="loop of symbolic links"):
        put_in_place(tmp_path / "filled", path)
    with pytest.raises(UserError, match="loop of symbolic links"), replaced_folder(path):
        raise AssertionError
    assert {found.name for found in tmp_path.iterdir()} == {"loop", "other", "filled"}


def test_what_is_not_there_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("folder")
    real = tmp_path.resolve()
    for name in ("link/a/b", "folder/../folder/a/b"):
        assert resolved(tmp_path / name) == real / "folder" / "a" / "b"


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
