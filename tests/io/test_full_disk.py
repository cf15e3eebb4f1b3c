"""A disk that is full, as a limit on the size of files: one sentence that names the file."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.helpers import ROOT

LIMITED = """
import resource, sys
from pathlib import Path
from chimle.errors import guarded
from chimle.io.files import put_in_place, replaced_file, replaced_folder, write_bytes
from chimle.io.journal import journalled

out, other = Path(sys.argv[2]), Path(sys.argv[3])
many = bytes(20_000)

def file():
    write_bytes(out, many)

def file_of_a_library():
    import torch

    with replaced_file(out) as stream:
        torch.save({"a": torch.zeros(10_000)}, stream)

def file_of_a_library_that_says_nothing():
    with replaced_file(out) as stream:
        for _ in range(3):
            try:
                stream.write(many)
            except OSError:
                pass
        raise RuntimeError("unexpected position")

def folder():
    with replaced_folder(out) as fresh:
        write_bytes(fresh / "a", many)

def folder_from_another_disk():
    put_in_place(other, out)

def journal():
    journalled(out, ["a"], lambda _item: {"long": "x" * 20_000})

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
guarded(globals()[sys.argv[1]])
"""


@pytest.mark.parametrize(
    "what",
    [
        "file",
        "file_of_a_library",
        "file_of_a_library_that_says_nothing",
        "folder",
        "folder_from_another_disk",
        "journal",
    ],
)
def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    out, memory = tmp_path / "out", Path("/dev/shm")
    if what == "folder_from_another_disk":
        if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no other file system")
    else:
        memory = tmp_path
    with tempfile.TemporaryDirectory(dir=memory) as name:
        other = Path(name) / "other"
        other.mkdir()
        for letter in "abc":
            (other / letter).write_bytes(bytes(20_000))
        command = [sys.executable, "-c", LIMITED, what, str(out), str(other)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert sorted(path.name for path in other.iterdir()) == ["a", "b", "c"]
    assert done.stderr == f"error: File too large ({out})\n"
    assert done.returncode == 2
    assert what == "journal" or not list(tmp_path.iterdir())
