"""`chimle sample`: draw samples of image files."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chimle.cli.open_model import open_model
from chimle.cli.options import SMALLER, DebugOption, JsonOption, ModelOption, TaskOption
from chimle.cli.output_folder import check_folder
from chimle.errors import DISK_FULL, UserError, describe_os_error, guarded, is_memory_full
from chimle.io.terminal import emit, emit_line

if TYPE_CHECKING:
    from chimle.inference.model import Model
    from chimle.inference.sample_request import SampleRequest

LONGEST_COUNT = 12
"""Digits of a count of candidates that are read, at most."""
LARGEST_SEED = 2**63 - 1


def sample_command(
    images: Annotated[list[str], typer.Argument(help="Images, folders or patterns.")],
    task: TaskOption = None,
    model: ModelOption = None,
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, help="Samples per image. Default: 8.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("samples"),
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the samples.")] = 0,
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
        int | None,
        typer.Option(
            min=0,
            help="With --from: coarse levels that keep their code. Default: 2.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="With --from: blend from that sample to this in -n steps.")
    ] = None,
    match: Annotated[
        Path | None,
        typer.Option(help="Search the codes for the sample nearest to this image."),
    ] = None,
    candidates: Annotated[
        str,
        typer.Option(help="With --match: codes searched per level. Default: 64,32,16 and so on."),
    ] = "",
    weights: Annotated[
        str | None,
        typer.Option(
            help="With --match: perceptual weights, `official`, `random` or a file. Default: "
            "`official`, or `random` for a model that was trained on them."
        ),
    ] = None,
    degrade: Annotated[
        bool, typer.Option("--degrade", help="Make the input from each image by the task first.")
    ] = False,
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(help="bf16 is faster on GPUs and on processors with AVX512-BF16 or AMX."),
    ] = "fp32",
    grid: Annotated[bool, typer.Option(help="Write an overview grid per image.")] = True,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Draw samples of images: OUT/NAME_00.png and so on, and OUT/NAME_grid.png."""

    def run() -> None:
        from chimle.inference.sample_request import SampleRequest

        counts = parse_candidates(candidates)
        request = SampleRequest(
            n, seed, first, tuple(sample or ()), base, keep_level, to, match, counts, weights,
            degrade,
        )  # fmt: skip
        _sample_all(
            images,
            lambda: open_model(model, task, precision, out),
            request,
            out,
            grid,
            as_json,
            debug,
        )

    guarded(run, debug, SMALLER)


def _sample_all(
    names: list[str],
    opened: Callable[[], "Model"],
    request: "SampleRequest",
    out: Path,
    grid: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Sample every image; an image that fails is reported, and the others are still sampled."""
    from chimle.images.walk import left_out_summary
    from chimle.inference.sample_files import find_tasks, read_target, sample_file

    check_folder(out)
    found = find_tasks(names, out)
    failed = list(found.failed)
    for _, text in failed:
        if debug:
            raise UserError(text)
        emit_line(f"error: {text}")
    reports: list[dict[str, Any]] = []
    started = time.monotonic()
    if found.tasks:
        loaded = opened()
        request.check(loaded.levels)
        target = read_target(loaded, request)
        started = time.monotonic()
    for number, image in enumerate(found.tasks, 1):
        try:
            reports.append(sample_file(loaded, image, request, grid, target))
        except Exception as error:
            if debug or not (text := batch_failure(error, image.path)):
                raise
            failed.append((str(image.path), text))
            emit_line(f"error: {text}")
            continue
        emit_line(f"{number}/{len(found.tasks)} {_line(reports[-1])}")
    if summary := left_out_summary(found.left_out):
        emit_line(summary)
    spent, drawn = time.monotonic() - started, sum(len(r["samples"]) for r in reports)
    if as_json:
        account = {
            "out": str(out),
            "images": reports,
            "failed": [{"image": path, "error": text} for path, text in failed],
            "left_out": [{"file": str(o.path), "reason": o.reason} for o in found.left_out],
        }
        emit(json.dumps(account, indent=1))
    elif drawn:
        noun = "sample" if drawn == 1 else "samples"
        emit(f"{drawn} {noun} in {spent:.1f} s ({drawn / spent:.2g}/s) in {out}")
    if failed:
        raise typer.Exit(2)


def batch_failure(error: Exception, image: Path) -> str:
    """A sentence for an error that concerns one image of a batch; empty: it concerns all."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return "" if error.errno in DISK_FULL else describe_os_error(error)
    if is_memory_full(error):
        return f"{image} does not fit into memory: reduce it first"
    return ""


def parse_candidates(text: str) -> tuple[int, ...]:
    """`64,32,16,8` as numbers; `UserError` for any other text."""
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() and len(part) <= LONGEST_COUNT for part in parts):
        raise UserError(f"`--candidates` {text}: write whole numbers, as 64,32,16,8")
    return tuple(map(int, parts))


def _line(report: dict[str, Any]) -> str:
    """One image's report as a line."""
    line = f"{report['image']}: {', '.join(report['samples'])} ({report['seconds']:.1f} s)"
    if "distances" in report:
        levels = " ".join(f"{d:.4f}" for d in report["distances"])
        unsearched = " ".join(f"{d:.4f}" for d in report["distances_of_sample_0"])
        line += f"; {report['distance']} per level {levels}, of sample 0 {unsearched}"
    return line
