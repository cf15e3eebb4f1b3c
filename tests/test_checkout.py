"""A checkout holds the committed bytes: DVC and provenance hash files as they are."""

import shutil
from pathlib import Path

from tests.support.helpers import ROOT
from tests.support.repositories import commit, run


def test_git_changes_no_line_end(tmp_path: Path) -> None:
    """As Git for Windows is set up, also where its checkout is used from Linux."""
    own = tmp_path / "own"
    own.mkdir()
    run(own, "git", "init", "-q")
    shutil.copy(ROOT / ".gitattributes", own)
    contents = {"Makefile": b"run:\n\ttrue\n", "a.py": b"\n", "b.csv": b"a\r\nb\r\n", "c": b"\0\n"}
    for name, content in contents.items():
        (own / name).write_bytes(content)
    commit(own, "files")
    config = ("-c", "core.autocrlf=true", "-c", "core.eol=crlf")
    run(tmp_path, "git", *config, "clone", "-q", str(own), "clone")
    assert {name: (tmp_path / "clone" / name).read_bytes() for name in contents} == contents
    assert not run(tmp_path / "clone", "git", *config, "status", "--porcelain")
