"""Check settings and sources before `dvc repro`; a changed source has its tasks fetched again.

All sections of `params.yaml` and the preset are validated, and each source is compared with its
record in `data/sources/TASK.json`, which the stage `fetch` depends on. Nothing is fetched. A source
that is not what its recorded checksums say is an error; with `--accept` those are forgotten first.

Of the files of weights that settings name (`perceptual.weights`, `train.start`) the hashes are
recorded in `data/weights/TASK.json`, which `train` and `evaluate` depend on.
"""

from contextlib import nullcontext
from pathlib import Path

from chimle.bundles.weights_record import write_weights_record
from chimle.data.fetch.source_record import source_record, write_record
from chimle.data.task_lock import task_lock
from chimle.errors import guarded
from chimle.settings.reading import listed_tasks, load_settings
from chimle.settings.run import RunSettings
from chimle.tasks import TASKS
from stages._command import root_parser


def main(settings: RunSettings, root: Path, accept: bool = False) -> None:
    """Bring the records of a task's source and of its files of weights up to date."""
    # To accept is to remove downloads, which a running `fetch` may be about to read.
    with task_lock(root, settings.task, "check") if accept else nullcontext():
        changed = write_record(root, settings.task, source_record(settings, root, accept))
    if changed:
        print(f"{settings.task}: the source is new or has changed; `dvc repro` fetches it")
    if write_weights_record(settings, root):
        print(f"{settings.task}: files of weights are new or have changed; `dvc repro` trains anew")


def command() -> None:
    """The command line `python -m stages.check [TASK ...] [--accept] [--root DIR]`."""
    parser = root_parser(__doc__)
    parser.add_argument(
        "tasks",
        metavar="TASK",
        nargs="*",
        help=f"{', '.join(TASKS)} (default: all of params.yaml)",
    )
    parser.add_argument("--accept", action="store_true", help="take what is there now")
    given = parser.parse_args()

    def check() -> None:
        tasks = given.tasks or listed_tasks(given.root)
        for settings in [load_settings(RunSettings, task, given.root) for task in tasks]:
            main(settings, given.root, given.accept)

    guarded(check)


if __name__ == "__main__":
    command()
