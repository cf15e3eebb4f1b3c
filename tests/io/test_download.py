"""Attempts at a download."""

from types import SimpleNamespace

import pytest

from chimle.errors import TransientError, UserError
from chimle.io import download
from chimle.io.download import LONGEST_PAUSE, retry


def test_any_number_of_retries_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause doubles up to its limit, however often."""
    pauses: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append))

    def fail() -> None:
        raise TransientError("busy")

    with pytest.raises(UserError, match="1101 attempts"):
        retry("a.zip", 1100, fail)
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert set(pauses[10:]) == {LONGEST_PAUSE}
