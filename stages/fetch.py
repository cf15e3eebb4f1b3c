"""Fetch one task's images: a source becomes `data/raw/TASK`."""

from pathlib import Path

from chimle.data.fetch.fetching import fetch
from chimle.data.fetch.source_record import source_record, write_record
from chimle.data.task_lock import task_lock
from chimle.settings.source import FetchStageSettings
from stages._command import run_stage


def main(settings: FetchStageSettings, root: Path) -> None:
    """Fetch the source of `settings.task`, and record which version that was."""
    with task_lock(root, settings.task, "fetch"):
        record = source_record(settings, root)
        counts = fetch(settings, root, root / "data" / "raw" / settings.task)
        write_record(root, settings.task, record)
    parts = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    print(f"{settings.task}: {parts} from {settings.source.kind}")


def command() -> None:
    """The command line `python -m stages.fetch TASK [--root DIR]`."""
    run_stage(main, FetchStageSettings, __doc__)


if __name__ == "__main__":
    command()
