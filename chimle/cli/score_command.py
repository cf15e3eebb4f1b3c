"""`chimle score`: the command; what it does is in `chimle.metrics.score_files`."""

import json
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chimle.cli.options import DebugOption, JsonOption, TaskOption
from chimle.errors import guarded


class BackboneName(StrEnum):
    """Networks that LPIPS knows."""

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
        Path | None, typer.Option(help="Folder of NAME.png, what was answered.")
    ] = None,
    task: TaskOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for JSON files and the curve.")
    ] = None,
    backbone: Annotated[
        BackboneName, typer.Option(help="Network of the perceptual distance.")
    ] = BackboneName.SQUEEZE,
    weights: Annotated[
        str | None,
        typer.Option(help="File of its weights.  [default: torch's cache, then the download]"),
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="Fixed random features where weights cannot be had.")
    ] = False,
    inception: Annotated[
        str | None, typer.Option(help="File of the FID's weights, or `official`.")
    ] = None,
    jpeg_quality: Annotated[
        int, typer.Option(min=1, max=100, help="Of decompression's inputs.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the intervals.")] = 0,
    features: Annotated[
        Path | None, typer.Option(help="Folder that keeps features, to score again faster.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Judge any tool's outputs as the pipeline judges its own models: table, JSON, provenance."""

    def run() -> None:
        from rich.console import Console

        from chimle.metrics.score_files import ScoreRequest, score, score_table, write_scores
        from chimle.settings import PerceptualSettings

        perceptual = PerceptualSettings(
            backbone=backbone.value, weights=weights, allow_random=random
        )
        question = ScoreRequest(
            outputs, targets, inputs, task, perceptual, inception, jpeg_quality, seed, features
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Said below, and in the provenance.
            scores, content = score(question)
        if out is not None:
            write_scores(out, scores, content)
        if as_json:
            typer.echo(json.dumps(content, indent=1))
            return
        Console(width=None if Console().is_terminal else 110).print(score_table(content))
        for text in content["provenance"]["warnings"]:
            typer.echo(f"warning: {text}", err=True)

    guarded(run, debug)
