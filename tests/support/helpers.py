"""Paths, markers and a hostile object that several test modules share."""

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
"""Development data beside the checkout; absent on a user's machine."""
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
KILLS = int(os.environ.get("CHIMLE_KILLS", "5"))
"""Number of kills of a test that kills at random moments; `make faults` sets 20."""


def needs_shared(*names: str) -> pytest.MarkDecorator:
    """Skip, with a reason, where development data is absent."""
    missing = [name for name in names if not (SHARED / name).exists()]
    return pytest.mark.skipif(
        bool(missing), reason=f"development data is absent: {', '.join(missing)}"
    )


class Evil:
    """An object whose unpickling writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.mark, "run")
