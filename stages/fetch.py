"""Fetch one task's photographs: a source becomes `data/raw/TASK`."""

from pathlib import Path

from chimle.data.fetch.fetching import fetch
from chimle.settings import RunSettings
from stages._command import run_stage


def main(settings: RunSettings, root: Path) -> None:
    """Fetch the source of `settings.task`."""
    counts = fetch(settings, root, root / "data" / "raw" / settings.task)
    said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    print(f"{settings.task}: {said} from {settings.source.kind}")


if __name__ == "__main__":
    run_stage(main, __doc__)
