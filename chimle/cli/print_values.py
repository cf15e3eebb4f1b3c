"""Plain values on standard output, as JSON or as aligned lines."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chimle.io.terminal import emit, printable


def print_values(values: Mapping[str, Any], as_json: bool = False) -> None:
    """Print a mapping; a text of it can neither begin a line nor control the terminal."""
    emit(json.dumps(values, indent=1) if as_json else "\n".join(map(printable, _lines(values))))


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, values))
    for key, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {part}" for name, part in value.items())
        yield f"{key.replace('_', ' '):{width}}  {text}"
