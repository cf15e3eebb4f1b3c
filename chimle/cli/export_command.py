"""`chimle export`: write a tower as ONNX or as an exported torch program."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.open_model import open_model
from chimle.cli.options import DebugOption, ModelOption, TaskOption
from chimle.cli.output_folder import check_new
from chimle.cli.print_values import print_values
from chimle.errors import guarded


class ExportFormat(StrEnum):
    """Formats of an exported tower."""

    ONNX = "onnx"
    TORCH = "torch"


def export_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")],
    task: TaskOption = None,
    model: ModelOption = None,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="ONNX, or a program that torch.export makes.")
    ] = ExportFormat.ONNX,
    size: Annotated[
        str | None, typer.Option(help="Fix the input's HEIGHTxWIDTH; else any size is taken.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Write a tower for other programs; the file is kept if its outputs equal the tower's."""

    def run() -> None:
        from chimle.bundles.export import export, parse_size

        check_new(out)
        sides = parse_size(size)
        loaded = open_model(model, task, out=out)
        print_values(export(loaded.bundle, out, format_, sides))

    guarded(run, debug, "give a smaller `--size`, or take a smaller model")
