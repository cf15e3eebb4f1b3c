"""`chimle sample | import | show`: a trained tower on a command line.

Exit codes: 0 done; 2 bad input or usage, in one sentence; anything else is a fault of the program.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chimle.errors import UserError, guarded
from chimle.images.decode import SUFFIXES, read_rgb, write_png
from chimle.model_bundle import save_bundle
from chimle.pictures import contact_sheet
from chimle.tasks import TASKS
from chimle.use.checkpoints import PUBLISHED_RESOLUTION, import_checkpoint
from chimle.use.model import Model, load
from chimle.use.show import describe

app = typer.Typer(
    name="chimle",
    help="One picture in, many different plausible pictures out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
GRID_SIDE = 160
"""Pixels of a picture in the overview grid."""


def find_pictures(names: list[str]) -> dict[str, Path]:
    """Files, folders and patterns as pictures by the stem that their answers are named after.

    Raises:
        UserError: nothing is there, or two pictures would write the same answers.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f"{path} holds no pictures ({', '.join(sorted(SUFFIXES))})")
            found += inside
        elif path.exists():
            found.append(path)
        elif matches := sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            found += matches
        else:
            raise UserError(f"{path} does not exist")
    by_stem: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise UserError(f"{other} and {path} would write the same answers: rename one")
    return by_stem


def _answers(
    model: Model, rgb: np.ndarray, count: int, seed: int, first: int, vary: int | None, keep: int
) -> list[np.ndarray]:
    if vary is None:
        return model.sample(rgb, count, seed, first)
    if not 0 <= keep <= model.levels:
        raise UserError(f"`--keep-level` {keep}: this model has {model.levels} levels")
    return model.vary(rgb, vary, keep, count, seed)


@app.command("sample")
def sample_command(
    photos: Annotated[list[str], typer.Argument(help="Pictures, folders or patterns.")],
    model: Annotated[Path, typer.Option(help="Model bundle, as models/colourization.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Answers per picture.")] = 8,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("answers"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    first: Annotated[
        int, typer.Option(min=0, help="First sample's number: `--first 7 -n 1` is sample 7 alone.")
    ] = 0,
    vary: Annotated[
        int | None, typer.Option("--from", min=0, help="Vary this sample instead.")
    ] = None,
    keep_level: Annotated[
        int, typer.Option(min=0, help="With --from: coarse levels that keep their code.")
    ] = 2,
    degrade: Annotated[
        bool, typer.Option(help="Make the input from a good photograph first.")
    ] = False,
) -> None:
    """Draw answers to pictures: OUT/NAME_00.png and so on, and OUT/NAME_grid.png."""

    def run() -> None:
        pictures = find_pictures(photos)
        loaded = load(model)
        started, made = time.monotonic(), 0
        for number, (stem, path) in enumerate(pictures.items(), 1):
            rgb = read_rgb(path)
            shown = loaded.degraded(rgb) if degrade else rgb
            answers = _answers(loaded, shown, n, seed, first, vary, keep_level)
            label = stem if vary is None else f"{stem}_from_{vary:02}_keep_{keep_level}"
            for j, answer in enumerate(answers, first if vary is None else 0):
                write_png(out / f"{label}_{j:02}.png", answer)
            row = [shown, *answers, *([rgb] if degrade else [])]
            write_png(out / f"{label}_grid.png", contact_sheet([row], GRID_SIDE))
            made += len(answers)
            typer.echo(f"{number}/{len(pictures)} {path} -> {out / label}_*.png", err=True)
        spent = time.monotonic() - started
        typer.echo(f"{made} answers in {spent:.1f} s ({made / spent:.1f}/s) in {out}")

    guarded(run)


@app.command("import")
def import_command(
    checkpoint: Annotated[Path, typer.Argument(help="Published weights or training state.")],
    task: Annotated[str, typer.Option(help=", ".join(TASKS))],
    out: Annotated[Path, typer.Option("-o", "--out", help="Bundle to write; must not exist.")],
    resolution: Annotated[
        int, typer.Option(help="Side of the finest image in training, pixels.")
    ] = PUBLISHED_RESOLUTION,
) -> None:
    """Make a model bundle of a published checkpoint; nothing in it is executed."""

    def run() -> None:
        if out.exists():
            raise UserError(f"{out} exists already: name another folder or remove it")
        tower, settings = import_checkpoint(checkpoint, task, resolution)
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        origin = {"imported_from": checkpoint.name, "imported_sha256": digest}
        save_bundle(out, tower, settings, origin)
        _tell(describe(out), False)

    guarded(run)


def _tell(content: dict, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(content, indent=1))
        return
    width = max(map(len, content))
    for key, value in content.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {part}" for name, part in value.items())
        typer.echo(f"{key.replace('_', ' '):{width}}  {text}")


@app.command("show")
def show_command(
    path: Annotated[Path, typer.Argument(help="Model bundle or folder of pairs.")],
    as_json: Annotated[bool, typer.Option("--json", help="For a script.")] = False,
) -> None:
    """Say what a bundle or a folder of pairs holds."""
    guarded(lambda: _tell(describe(path), as_json))


def main() -> None:
    """The command `chimle`."""
    app()
