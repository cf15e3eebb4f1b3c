"""`chimle explore`: a local page to browse the samples of an image."""

from typing import Annotated

import typer

from chimle.cli.open_model import open_model
from chimle.cli.options import SMALLER, DebugOption, ModelOption, TaskOption
from chimle.errors import guarded


def explore_command(
    task: TaskOption = None,
    model: ModelOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7860,
    debug: DebugOption = False,
) -> None:
    """Open a page on this machine: drop an image, choose a sample, vary its finer levels."""

    def run() -> None:
        from chimle.cli.explore.serve_page import serve_page

        serve_page(open_model(model, task), port)

    guarded(run, debug, SMALLER)
