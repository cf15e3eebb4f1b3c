"""`chimle score`: evaluate the output files of any tool."""

import json
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.options import DebugOption, JsonOption, TaskOption
from chimle.cli.output_folder import check_folder
from chimle.errors import UserError, guarded
from chimle.io.terminal import emit, emit_line

FILE_WIDTH = 240
"""Characters that a line of the table may take where no terminal shows it."""


class BackboneName(StrEnum):
    """Backbones of LPIPS."""

    SQUEEZE = "squeeze"
    ALEX = "alex"
    VGG = "vgg"


def score_command(
    outputs: Annotated[
        Path,
        typer.Argument(help="Folder of NAME/0.png .., NAME_0.png .. or NAME.png; or a CSV file."),
    ],
    targets: Annotated[
        Path | None, typer.Option(help="Folder of NAME.png, the observed targets.")
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="Folder of NAME.png, the inputs of the outputs."),
    ] = None,
    task: TaskOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for JSON files and the curve.")
    ] = None,
    backbone: Annotated[
        BackboneName, typer.Option(help="Network of the perceptual distance.")
    ] = BackboneName.SQUEEZE,
    weights: Annotated[
        str, typer.Option(help="Its weights: `official`, `random` (fixed), or a file.")
    ] = "official",
    inception: Annotated[
        str | None, typer.Option(help="File of Inception weights for FID and KID, or `official`.")
    ] = None,
    jpeg_quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="JPEG quality of the inputs of decompression. Default: 1."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the bootstrap intervals.")
    ] = 0,
    features: Annotated[
        Path | None, typer.Option(help="Folder that caches features, to score again faster.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Evaluate the outputs of any tool as the pipeline evaluates its models: table, JSON files."""

    def run() -> None:
        from rich.console import Console

        from chimle.images.walk import left_out_summary
        from chimle.metrics.score_files import ScoreRequest, score, score_table, write_scores
        from chimle.settings.perceptual import PerceptualSettings

        if not weights:
            raise UserError("`--weights` is empty: name `official`, `random` or a file")
        perceptual = PerceptualSettings.model_validate(
            {"backbone": backbone.value, "weights": weights}
        )
        if out is not None:
            check_folder(out)
        request = ScoreRequest(
            outputs, targets, inputs, task, perceptual, inception, jpeg_quality, seed, features,
            out,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Printed below, and in the provenance.
            scores, content, left_out = score(request)
        if summary := left_out_summary(left_out):
            emit_line(summary)
        if out is not None:
            write_scores(out, scores, content)
        if as_json:
            files = [{"file": str(one.path), "reason": one.reason} for one in left_out]
            emit(json.dumps({**content, "left_out": files}, indent=1))
            return
        # In a file or a pipe every metric is one line, to be searched for by its name.
        console = Console(width=None if Console().is_terminal else FILE_WIDTH)
        with console.capture() as table:
            console.print(score_table(content))
        emit(table.get().rstrip("\n"))
        for text in content["provenance"]["warnings"]:
            emit_line(f"warning: {text}")

    guarded(
        run,
        debug,
        "score smaller images, fewer samples of each input, or on another device by CHIMLE_DEVICE",
    )
