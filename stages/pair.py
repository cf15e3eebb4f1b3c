"""Make one task's pairs: `data/raw/TASK` becomes `data/pairs/TASK`."""

from pathlib import Path

from chimle.data.pairing import make_pairs
from chimle.settings import RunSettings
from stages._command import run_stage


def main(settings: RunSettings, root: Path) -> None:
    """Cut, split and degrade the photographs of `settings.task`."""
    data = root / "data"
    raw, out = data / "raw" / settings.task, data / "pairs" / settings.task
    counts = make_pairs(settings, raw, out, root / "scratch")
    print(f"{settings.task}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))


if __name__ == "__main__":
    run_stage(main, __doc__)
