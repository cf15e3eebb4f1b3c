"""`chimle show`: describe a bundle, pairs, a manifest or a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.options import SMALLER, DebugOption, JsonOption
from chimle.cli.output_folder import check_new, check_outside
from chimle.cli.print_values import print_values
from chimle.errors import guarded


def show_command(
    address: Annotated[str, typer.Argument(help="Bundle, task, pairs, manifest or checkpoint.")],
    image: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of it to this PNG file.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Describe a bundle, a folder of pairs, a manifest or a checkpoint."""

    def run() -> None:
        from chimle.bundles.task_models import named_model
        from chimle.cli.describe import describe, draw

        if image is not None:
            check_new(image)
            check_outside(image, named_model(address))
        print_values(describe(address), as_json)
        if image is not None:
            draw(address, image)

    guarded(run, debug, SMALLER)
