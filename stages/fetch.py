"""Fetch one task's photographs: a source becomes `data/raw/TASK`."""

from pathlib import Path

from chimle.data.fetch.fetching import fetch
from chimle.settings.source import FetchStageSettings
from stages._command import run_stage


def main(settings: FetchStageSettings, root: Path) -> None:
    """Fetch the source of `settings.task`."""
    counts = fetch(settings, root, root / "data" / "raw" / settings.task)
    said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    print(f"{settings.task}: {said} from {settings.source.kind}")


def command() -> None:
    """The command line `python -m stages.fetch TASK [--root DIR]`."""
    run_stage(main, FetchStageSettings, __doc__)


if __name__ == "__main__":
    command()
