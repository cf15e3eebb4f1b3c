"""`chimle sample | score | import | export | pack | show | explore`: the command line.

Exit codes: 0 done; 2 bad input or usage, in one sentence; anything else is a fault of the program.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from chimle.cli.options import DebugOption, JsonOption, ModelOption, TaskOption, task_names
from chimle.cli.score_command import score_command
from chimle.errors import UserError, guarded
from chimle.tasks import TASKS, get_task

app = typer.Typer(
    name="chimle",
    help="One picture in, many different plausible pictures out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done; 2 bad input, said in one sentence; else a fault of the program.",
)


class ExportFormat(StrEnum):
    """What a tower can be exported as."""

    ONNX = "onnx"
    TORCH = "torch"


def model_address(model: str | None, task: str | None) -> str:
    """The bundle to open: `model`, or the pipeline's own for `task`."""
    if task is not None:
        get_task(task)
    if model is None and task is None:
        raise UserError("name a bundle by `--model`, or one of the pipeline's own by `--task`")
    return model or f"models/{task}"


def open_model(model: str | None, task: str | None) -> Any:
    """The loaded bundle; `UserError` where it serves another task than `task`."""
    from chimle.inference.model import load

    address = model_address(model, task)
    loaded = load(address)
    own = loaded.bundle.settings.task
    if task is not None and own != task:
        raise UserError(f"{address} is a model for {own}, not for {task}")
    return loaded


@app.command("sample")
def sample_command(
    photos: Annotated[list[str], typer.Argument(help="Pictures, folders or patterns.")],
    task: TaskOption = None,
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Answers per picture.")] = 8,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("answers"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    first: Annotated[
        int, typer.Option(min=0, help="First sample's number: `--first 7 -n 1` is sample 7 alone.")
    ] = 0,
    sample: Annotated[
        list[str] | None,
        typer.Option(help="Draw this sample, as 7 or 7.7.2.5; may be repeated."),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--from", help="Vary this sample: see --keep-level and --to.")
    ] = None,
    keep_level: Annotated[
        int, typer.Option(min=0, help="With --from: coarse levels that keep their code.")
    ] = 2,
    to: Annotated[
        str | None, typer.Option(help="With --from: go from that sample to this one in -n steps.")
    ] = None,
    match: Annotated[
        Path | None,
        typer.Option(help="Search the codes for the answer nearest to this picture."),
    ] = None,
    candidates: Annotated[
        str, typer.Option(help="With --match: codes tried per level, as 64,32,16,8.")
    ] = "",
    weights: Annotated[
        str | None, typer.Option(help="With --match: file of perceptual weights.")
    ] = None,
    degrade: Annotated[
        bool, typer.Option("--degrade", help="Make the input from a good photograph first.")
    ] = False,
    grid: Annotated[bool, typer.Option(help="Write an overview grid per picture.")] = True,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Draw answers to pictures: OUT/NAME_00.png and so on, and OUT/NAME_grid.png."""

    def run() -> None:
        from chimle.inference.sample_files import SampleRequest, answer, find_pictures

        counts = _counts(candidates)
        wish = SampleRequest(
            n, seed, first, tuple(sample or ()), base, keep_level, to, match, counts, weights,
            degrade,
        )  # fmt: skip
        pictures = find_pictures(photos)
        loaded = open_model(model, task)
        wish.check(loaded.levels)
        started, reports, failed = time.monotonic(), [], 0
        for number, path in enumerate(pictures.values(), 1):
            try:
                reports.append(answer(loaded, path, wish, out, grid))
            except UserError as error:
                if debug:
                    raise
                failed += 1
                print(f"error: {error}", file=sys.stderr)
                continue
            typer.echo(f"{number}/{len(pictures)} {_told(reports[-1])}", err=True)
        spent, made = time.monotonic() - started, sum(len(r["answers"]) for r in reports)
        if as_json:
            typer.echo(json.dumps({"out": str(out), "pictures": reports}, indent=1))
        elif made:
            typer.echo(f"{made} answers in {spent:.1f} s ({made / spent:.2g}/s) in {out}")
        if failed:
            raise typer.Exit(2)

    guarded(run, debug)


def _counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"`--candidates` {text}: write whole numbers, as 64,32,16,8")
    return tuple(map(int, parts))


def _told(report: dict[str, Any]) -> str:
    line = f"{report['picture']}: {', '.join(report['answers'])} ({report['seconds']:.1f} s)"
    if "distances" in report:
        levels = " ".join(f"{d:.4f}" for d in report["distances"])
        unsearched = " ".join(f"{d:.4f}" for d in report["distances_of_sample_0"])
        line += f"; {report['distance']} per level {levels}, of sample 0 {unsearched}"
    return line


app.command("score")(score_command)


@app.command("import")
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
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights.")] = "unknown",
    debug: DebugOption = False,
) -> None:
    """Make a model bundle of a published checkpoint; nothing in it is executed."""

    def run() -> None:
        from chimle.bundles.bundle import save_bundle
        from chimle.bundles.parity import compare
        from chimle.bundles.published_checkpoints import import_checkpoint, import_origin
        from chimle.cli.describe import describe

        if out is None and check is None:
            raise UserError("name the bundle to write by `-o`, or a recording by `--check`")
        if out is not None and out.exists():
            raise UserError(f"{out} exists already: name another folder or remove it")
        tower, settings = import_checkpoint(checkpoint, task, resolution)
        if check is not None:
            typer.echo(compare(tower, check))
        if out is not None:
            save_bundle(out, tower, settings, import_origin(checkpoint), license_)
            _tell(describe(out), False)

    guarded(run, debug)


@app.command("export")
def export_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")],
    task: TaskOption = None,
    model: ModelOption = None,
    format_: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.ONNX,
    size: Annotated[
        str | None, typer.Option(help="Fix the input's HEIGHTxWIDTH; else any size is taken.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Write a tower for other programs; what it computes there is compared before it is kept."""

    def run() -> None:
        from chimle.bundles.export import export, parse_size

        loaded = open_model(model, task)
        _tell(export(loaded.bundle, out, format_, parse_size(size)), False)

    guarded(run, debug)


@app.command("pack")
def pack_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder, or file ending in .zip.")],
    task: TaskOption = None,
    model: ModelOption = None,
    license_: Annotated[str, typer.Option("--license", help="As apache-2.0.")] = "unknown",
    project: Annotated[
        Path, typer.Option(help="Project whose metrics/ and pictures/ belong to the model.")
    ] = Path(),
    debug: DebugOption = False,
) -> None:
    """Make a bundle to publish: weights, licence, metrics, and a model card with samples."""

    def run() -> None:
        from chimle.bundles.pack import pack

        loaded = open_model(model, task)
        pack(loaded.bundle, out, license_, project)
        typer.echo(f"{out}")

    guarded(run, debug)


def _tell(content: dict, as_json: bool) -> None:
    text = json.dumps(content, indent=1) if as_json else "\n".join(_in_words(content))
    try:
        typer.echo(text)
    except BrokenPipeError:
        # A reader that has seen enough, as `head`; Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_words(content: dict) -> Iterator[str]:
    width = max(map(len, content))
    for key, value in content.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {part}" for name, part in value.items())
        yield f"{key.replace('_', ' '):{width}}  {text}"


@app.command("show")
def show_command(
    address: Annotated[str, typer.Argument(help="Bundle, pairs, manifest or checkpoint.")],
    picture: Annotated[
        Path | None, typer.Option(help="Write what there is to see to this PNG file.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what a bundle, a folder of pairs, a manifest or a checkpoint holds."""

    def run() -> None:
        from chimle.cli.describe import describe, draw

        _tell(describe(address), as_json)
        if picture is not None:
            draw(address, picture)

    guarded(run, debug)


@app.command("explore")
def explore_command(
    task: TaskOption = None,
    model: ModelOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    debug: DebugOption = False,
) -> None:
    """Open a page on this machine: drop a picture, pick an answer, vary its finer levels."""

    def run() -> None:
        from chimle.cli.explore_page import serve

        serve(open_model(model, task), port)

    guarded(run, debug)


def main() -> None:
    """The command `chimle`."""
    app()
