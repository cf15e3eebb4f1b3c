"""What `chimle show` says of an address, and the contact sheet that it writes."""

from pathlib import Path

import pytest

from chimle.cli.describe import describe
from chimle.data.manifests import SOURCE, write_records


@pytest.mark.parametrize("skipped", [0, 2])
def test_a_source_says_what_was_skipped_if_anything_was(tmp_path: Path, skipped: int) -> None:
    header = {"kind": "folder", "side_by_side": None, "skipped": [{"name": "a"}] * skipped}
    record = {"file": "targets/a.png", "sha256": "0", "phash": "0", "source": "a.png"}
    write_records(tmp_path, SOURCE, header, [{**record, "bytes": 9, "width": 3, "height": 4}])
    found = describe(tmp_path)
    assert found["files"] == 1
    assert found.get("skipped") == (skipped or None)
