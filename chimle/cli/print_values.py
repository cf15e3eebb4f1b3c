"""Plain values on standard output, as JSON or as aligned lines."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import typer


def print_values(values: Mapping[str, Any], as_json: bool = False) -> None:
    """Print a mapping; a reader that closes the pipe early, as `head`, is no error."""
    text = json.dumps(values, indent=1) if as_json else "\n".join(_lines(values))
    try:
        typer.echo(text)
    except BrokenPipeError:
        # Python flushes standard output again when it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, values))
    for key, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {part}" for name, part in value.items())
        yield f"{key.replace('_', ' '):{width}}  {text}"
