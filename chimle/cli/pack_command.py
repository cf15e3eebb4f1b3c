"""`chimle pack`: make a bundle to publish, in a folder, a zip file or on a model hub."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.open_model import open_model
from chimle.cli.options import SMALLER, DebugOption, ModelOption, TaskOption
from chimle.cli.output_folder import check_new
from chimle.errors import UserError, guarded
from chimle.io.terminal import emit
from chimle.io.urls import plain


def pack_command(
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder, or file ending in .zip.", show_default=False),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            help="Upload to a model hub: hf://user/name, or hf://user/name@branch.",
            show_default=False,
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With --push: a repository that is made is private.")
    ] = False,
    task: TaskOption = None,
    model: ModelOption = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="As apache-2.0; else the model's.", show_default=False),
    ] = None,
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
        from chimle.bundles import hub
        from chimle.bundles.pack import pack

        if out is None and push is None:
            raise UserError("name where the bundle goes: `-o FOLDER`, or `--push hf://USER/NAME`")
        address = hub.split_address(push) if push is not None else None
        if push is not None and address is None:
            raise UserError(f"{plain(push)} is no address of a hub: write hf://USER/NAME")
        if private and push is None:
            raise UserError("`--private` is of a repository on a hub: name it by `--push`")
        if out is not None:
            check_new(out)
        bundle = open_model(model, task, out=out).bundle
        if out is not None:
            pack(bundle, out, license_, project, half)
            emit(f"{out}")
        if address is not None:
            with tempfile.TemporaryDirectory(prefix="chimle-") as name:
                folder = Path(name) / "bundle"
                pack(bundle, folder, license_, project, half, str(address))
                emit(hub.push(folder, address, private))

    guarded(run, debug, SMALLER)
