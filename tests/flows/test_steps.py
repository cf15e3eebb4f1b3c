"""How a step fails: with a sentence, and again only where that may help."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import StateType

from flows import steps
from flows.steps import fail_with_message


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space", "a.zip"),
            "no space is left on the device (a.zip): free",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "Permission denied (a)"),
    ],
)
def test_an_error_of_the_system_is_a_sentence_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    monkeypatch.setattr(steps, "get_run_logger", lambda: logging.getLogger("test"))

    @fail_with_message
    def fails(_place: Path) -> None:
        raise error

    state: Any = fails(Path("a"))
    assert state.type == StateType.FAILED
    assert state.message.startswith(sentence)
