"""What `--help` prints: every option with its whole text."""

import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from chimle.cli.main import app

COMMANDS: dict[str, Any] = vars(typer.main.get_command(app))["commands"]


def words(text: str) -> str:
    """Letters and digits alone: lines are wrapped and framed."""
    return "".join(re.findall(r"\w+", text))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_has_a_text_and_all_of_it_is_printed(name: str) -> None:
    found = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "1000"}).output
    for parameter in COMMANDS[name].params:
        text = getattr(parameter, "help", None)
        assert text, parameter.name
        assert words(text) in words(found), parameter.name
