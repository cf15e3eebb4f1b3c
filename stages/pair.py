"""Make one task's pairs: `data/raw/TASK` becomes `data/pairs/TASK` and `data/contact/TASK.png`."""

from pathlib import Path

from chimle.data.dataset import read_manifest
from chimle.data.pair.make_pairs import make_pairs
from chimle.data.pair.pairs_sheet import pairs_sheet
from chimle.data.pair.summary import summary
from chimle.data.task_lock import task_lock
from chimle.io.files import write_bytes
from chimle.settings.pair import PairStageSettings
from stages._command import run_stage


def main(settings: PairStageSettings, root: Path) -> None:
    """Cut, split and degrade the images of `settings.task`."""
    data = root / "data"
    raw, out = data / "raw" / settings.task, data / "pairs" / settings.task
    with task_lock(root, settings.task, "pair"):
        make_pairs(settings, raw, out, root / "scratch")
        write_bytes(data / "contact" / f"{settings.task}.png", pairs_sheet(out, raw))
        print(f"{settings.task}: {summary(read_manifest(out))}")


def command() -> None:
    """The command line `python -m stages.pair TASK [--root DIR]`."""
    run_stage(main, PairStageSettings, __doc__)


if __name__ == "__main__":
    command()
