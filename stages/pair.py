"""Make one task's pairs: `data/raw/TASK` becomes `data/pairs/TASK` and `data/contact/TASK.png`."""

from pathlib import Path

from chimle.data.dataset import read_manifest
from chimle.data.pair.make_pairs import make_pairs
from chimle.data.pair.pairs_sheet import pairs_sheet
from chimle.data.pair.summary import summary
from chimle.io.files import write_bytes
from chimle.settings import RunSettings
from stages._command import run_stage


def main(settings: RunSettings, root: Path) -> None:
    """Cut, split and degrade the photographs of `settings.task`."""
    data = root / "data"
    raw, out = data / "raw" / settings.task, data / "pairs" / settings.task
    make_pairs(settings, raw, out, root / "scratch")
    write_bytes(data / "contact" / f"{settings.task}.png", pairs_sheet(out, raw))
    print(f"{settings.task}: {summary(read_manifest(out))}")


if __name__ == "__main__":
    run_stage(main, __doc__)
