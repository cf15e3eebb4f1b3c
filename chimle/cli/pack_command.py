"""`chimle pack`: make a bundle to publish."""

from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.open_model import open_model
from chimle.cli.options import DebugOption, ModelOption, TaskOption
from chimle.errors import guarded
from chimle.io.terminal import emit


def pack_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder, or file ending in .zip.")],
    task: TaskOption = None,
    model: ModelOption = None,
    license_: Annotated[str, typer.Option("--license", help="As apache-2.0.")] = "unknown",
    project: Annotated[
        Path, typer.Option(help="Project whose metrics/ and galleries/ belong to the model.")
    ] = Path(),
    half: Annotated[
        bool, typer.Option("--half", help="Store the weights in half precision.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Make a bundle to publish: weights, license, metrics, and a model card with samples."""

    def run() -> None:
        from chimle.bundles.pack import pack

        loaded = open_model(model, task)
        pack(loaded.bundle, out, license_, project, half)
        emit(f"{out}")

    guarded(run, debug)
