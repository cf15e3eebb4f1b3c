"""Paths and markers that several test modules share."""

import os
from pathlib import Path

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
