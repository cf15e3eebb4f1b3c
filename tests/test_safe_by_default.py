"""Every row of docs/safe-by-default.md names tests that exist."""

import re

from tests.support.helpers import ROOT

_NAME = re.compile(r"`(?P<file>tests/[\w/]+\.py)?(?:::(?P<test>test_\w+))?`")


def test_every_row_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "safe-by-default.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [line for line in rows if not line.startswith("| before ")]
    assert len(rows) > 20
    for row in rows:
        found = [match for match in _NAME.finditer(row.split(" | ")[2]) if match[0] != "``"]
        assert found, row
        file = None
        for match in found:
            file = match["file"] or file
            assert file, row
            content = (ROOT / file).read_text(encoding="utf-8")
            assert f"def {match['test'] or 'test_'}" in content, match[0]
