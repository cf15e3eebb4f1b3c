"""Which files are read again."""

import json
from pathlib import Path

import pytest

from chimle.io import hash_cache
from chimle.io.files import sha256_of
from chimle.io.hash_cache import sha256_of_unchanged


def test_every_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, read = [tmp_path / name for name in "abc"], list[Path]()
    for file in files:
        file.write_text(file.name)

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(hash_cache, "sha256_of", counted)
    for _ in range(2):
        found = [sha256_of_unchanged(file, tmp_path / "scratch") for file in files]
    assert found == [sha256_of(file) for file in files]
    assert read == files
    files[0].write_text("changed")
    assert sha256_of_unchanged(files[0], tmp_path / "scratch") == sha256_of(files[0])
    notes = tmp_path / "scratch" / "hashes.json"
    assert len(json.loads(notes.read_text())) == len(files)
    for damaged in ("{", "[]", json.dumps(dict.fromkeys(json.loads(notes.read_text()), 7))):
        notes.write_text(damaged)
        assert sha256_of_unchanged(files[1], tmp_path / "scratch") == sha256_of(files[1])
