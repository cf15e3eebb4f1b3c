"""Fetch one task's photographs: a source becomes `data/raw/TASK`."""

from pathlib import Path

from chimle.data.sources import fetch
from chimle.settings import RunSettings
from stages._command import run_stage


def main(settings: RunSettings, root: Path) -> None:
    """Fetch the source of `settings.task`."""
    count = fetch(settings.source, root, root / "data" / "raw" / settings.task)
    print(f"{settings.task}: {count} photographs from {settings.source.kind}")


if __name__ == "__main__":
    run_stage(main, __doc__)
