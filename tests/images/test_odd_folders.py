"""Every odd folder of the table: what is found, what is left out and why, nothing else."""

from pathlib import Path

import pytest

from chimle.images.walk import walk
from tests.images.odd_folders import TABLE, OddFolder


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_an_odd_folder(row: OddFolder, tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    (root / "good.png").write_bytes(b"x")
    row.make(root)
    arguments = [root / argument for argument in row.arguments]
    found = walk(arguments, exclude=[root / "out"])
    good = ["good.png"] if row.good else []
    paths = [one.path.relative_to(root).as_posix() for one in found.images]
    assert sorted(paths) == sorted([*row.found, *good])
    reasons = {one.path.relative_to(root).as_posix(): one.reason for one in found.left_out}
    assert reasons == row.left_out
    total = len(row.left_out)
    assert found.summary().startswith(f"{total} file") == bool(total)
