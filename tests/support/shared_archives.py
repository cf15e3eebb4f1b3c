"""Development archives, unpacked for a test."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from chimle.data.fetch.fetching import fetch
from chimle.data.pair.make_pairs import make_pairs
from chimle.io import journal as parallel
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from tests.support.helpers import SHARED
from tests.support.projects import TINY


def unpacked(name: str, into: Path) -> Path:
    """The folder that an archive of `SHARED/data` holds."""
    with tarfile.open(SHARED / "data" / f"{name}.tar") as archive:
        # Python 3.11 has the filter from 3.11.4 on.
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(into, **safely)
    return into / name


def settings_for(task: str, source: dict[str, Any], **pair: object) -> RunSettings:
    """Tiny settings with targets of 32 pixels."""
    values = {**TINY, "task": task, "preset": "test", "source": source}
    return build_settings(RunSettings, {**values, "pair": {"size": 32, **pair}}, "test")


def paired(root: Path, settings: RunSettings) -> Path:
    """Fetch and pair below `root`, in this process; the folder of pairs."""
    raw = root / "data" / "raw" / settings.task
    out = root / "data" / "pairs" / settings.task
    with pytest.MonkeyPatch.context() as patch:
        # Starting workers takes longer than so little work.
        patch.setattr(parallel, "INLINE_LIMIT", 10**9)
        if not raw.exists():
            fetch(settings, root, raw)
        make_pairs(settings, raw, out, root / "scratch")
    return out
