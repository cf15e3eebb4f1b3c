"""The examples of the Python guide, run as printed."""

import doctest
import re
from pathlib import Path

import pytest

from tests.support.helpers import ROOT
from tests.support.projects import tiny_bundle


def test_examples_give_the_printed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bundle(tmp_path / "models" / "colourization", "colourization")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    parsed = doctest.DocTestParser().get_doctest(examples, {}, "docs/python.md", None, 0)
    assert len(parsed.examples) > 20
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(parsed)
    assert result.failed == 0
