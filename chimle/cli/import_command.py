"""`chimle import`: make a model bundle of a published checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.options import SMALLER, DebugOption, task_names
from chimle.cli.output_folder import check_new
from chimle.cli.print_values import print_values
from chimle.errors import UserError, guarded
from chimle.io.terminal import emit
from chimle.tasks import TASKS


def import_command(
    checkpoint: Annotated[Path, typer.Argument(help="Published weights or training state.")],
    task: Annotated[str, typer.Option(help=", ".join(TASKS), autocompletion=task_names)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Bundle to write; must not exist.")
    ] = None,
    resolution: Annotated[
        int, typer.Option(help="Side of the finest image in training, pixels.")
    ] = 256,
    check: Annotated[
        Path | None, typer.Option(help="Compare with inputs, codes and outputs recorded here.")
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="License of the weights; else unknown.", show_default=False),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Make a model bundle of a published checkpoint; nothing in it is executed."""

    def run() -> None:
        from chimle.bundles.bundle import UNLICENSED, save_bundle
        from chimle.bundles.parity import compare
        from chimle.bundles.published_checkpoints import import_checkpoint, import_origin
        from chimle.cli.describe import describe

        if out is None and check is None:
            raise UserError("name the bundle to write by `-o`, or a recording by `--check`")
        if out is not None:
            check_new(out)
        elif license_ is not None:
            raise UserError("`--license` changes nothing without `-o`: leave it out")
        tower, settings = import_checkpoint(checkpoint, task, resolution)
        if check is not None:
            emit(compare(tower, check))
        if out is not None:
            save_bundle(out, tower, settings, import_origin(checkpoint), license_ or UNLICENSED)
            print_values(describe(out))

    guarded(run, debug, SMALLER)
