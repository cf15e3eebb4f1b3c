"""A service or library that shows runs: its interface, and the description of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from chimle.errors import UserError


@dataclass(frozen=True)
class Run:
    """A run as loggers name it.

    Attributes:
        task: what is trained.
        key: of its resume state: a run that is resumed is the same run.
        folder: where files about it may lie.
        settings: all that determines it, nested.
    """

    task: str
    key: str
    folder: Path
    settings: Mapping[str, Any]


class Logger(Protocol):
    """Takes curves and images of one run."""

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """Values by name after a gradient step."""

    def samples(self, step: int, sheet: np.ndarray) -> None:
        """A contact sheet (H, W, 3) uint8 of samples after a gradient step."""

    def close(self) -> None:
        """Write what is not written yet."""


def missing_extra(name: str) -> NoReturn:
    """The `UserError` for a logger whose package is not installed."""
    raise UserError(f"logger {name} is not installed: pip install 'chimle[{name}]'") from None


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Nested settings by dotted name, lists as text."""
    found: dict[str, str | int | float | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            plain = isinstance(value, str | int | float | bool)
            found[prefix + name] = value if plain else str(value)
    return found
