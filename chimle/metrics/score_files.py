"""Evaluation of any tool's output files for `chimle score`, as the pipeline evaluates models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from chimle.device import choose_device
from chimle.errors import UserError
from chimle.images.walk import LeftOut
from chimle.io.files import write_text
from chimle.metrics.evaluator import EvaluationConfig, Scores, evaluate, flat_values
from chimle.metrics.inception import load_inception
from chimle.metrics.match_files import (
    MatchedFiles,
    find_in_folders,
    find_in_table,
    read_predictions,
)
from chimle.metrics.metric_table import as_json, curve_csv, measured_with, metric_rows
from chimle.metrics.registry import split_headline
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.degradation import DegradationSettings
from chimle.settings.perceptual import PerceptualSettings
from chimle.tasks import Degradation, Task, get_task


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, and with what.

    Attributes:
        outputs: folder, or CSV file with a row per sample.
        targets: folder; None with a CSV file.
        inputs: folder; None: agreement with the input and the input baseline are left out.
        task: defines agreement with the input; None: it is not measured.
        perceptual: the distance.
        inception: file of the FID's weights or `official`; None: no FID.
        jpeg_quality: of decompression's inputs, in Pillow's terms; None: the default.
        seed: of the bootstrap.
        features: folder that caches the networks' features; None: no cache.
        out: folder that the scores will be written to; None: none.
    """

    outputs: Path
    targets: Path | None
    inputs: Path | None
    task: str | None
    perceptual: PerceptualSettings
    inception: str | None = None
    jpeg_quality: int | None = None
    seed: int = 0
    features: Path | None = None
    out: Path | None = None


def score(request: ScoreRequest) -> tuple[Scores, dict[str, Any], list[LeftOut]]:
    """Scores, plain values `{"metrics": .., "details": .., "provenance": ..}`, files left out.

    Raises:
        UserError: names, sizes or counts do not fit, an option changes nothing, or weights are
            missing.
    """
    task = None if request.task is None else get_task(request.task)
    degradation = _degradation(request, task)
    is_table = request.outputs.suffix.lower() == ".csv"
    if is_table and (request.targets or request.inputs):
        raise UserError("a CSV file names targets and inputs itself: leave out the folders")
    if is_table:
        matched = MatchedFiles(find_in_table(request.outputs), [])
    elif request.targets is None:
        raise UserError("name the folder of targets by `--targets`, or give a CSV file")
    else:
        matched = find_in_folders(
            request.outputs,
            request.targets,
            request.inputs,
            [folder for folder in (request.features, request.out) if folder is not None],
        )
    found = matched.predictions
    if task is not None and any(files.input is None for files in found):
        where = "give the column `input`" if is_table else "name their folder by `--inputs`"
        raise UserError(f"`--task` measures agreement with inputs: {where}")
    device = str(choose_device())
    config = EvaluationConfig(
        perceptual=load_perceptual(request.perceptual, device, parameter="--weights"),
        inception=load_inception(request.inception, device, parameter="--inception"),
        task=task,
        degradation=degradation,
        seed=request.seed,
        records=request.features,
    )
    predictions = read_predictions(found, enlarges=task is None or task.reduction > 1)
    scores, baseline = evaluate(predictions, config)
    headline, details = split_headline(flat_values(scores, baseline))
    origin = measured_with(config, scores) | {"task": request.task or "none"}
    content = {"metrics": headline, "details": details, "provenance": origin}
    return scores, content, matched.left_out


def _degradation(request: ScoreRequest, task: Task | None) -> DegradationSettings:
    """How the inputs were made; `UserError` where a quality is given and none is JPEG's."""
    if request.jpeg_quality is None:
        return DegradationSettings()
    if task is None or task.degradation is not Degradation.JPEG:
        place = "without `--task`" if task is None else f"for {task.name}"
        raise UserError(f"`--jpeg-quality` changes nothing {place}: leave it out")
    return DegradationSettings(jpeg_quality=request.jpeg_quality)


def write_scores(out: Path, scores: Scores, content: dict[str, Any]) -> None:
    """`metrics.json`, `details.json`, `provenance.json` and `best_of_k.csv` in a folder."""
    for name, part in content.items():
        write_text(out / f"{name}.json", as_json(part))
    write_text(out / "best_of_k.csv", curve_csv(scores))


def score_table(content: dict[str, Any]) -> Table:
    """All metrics with intervals, beside those of the input baseline."""
    origin = content["provenance"]
    count = origin["samples_per_input"]
    title = f"N = {origin['n']}, {count} {'sample' if count == 1 else 'samples'} each"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("metric", "", "samples", "95 % interval", "input baseline", "computed over"):
        right = heading not in ("metric", "", "computed over")
        # In a narrow terminal names are folded, and no digit is cut off.
        table.add_column(
            heading, justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    for row in metric_rows(content["metrics"] | content["details"]):
        ends = "" if row.interval is None else "{:.4g} - {:.4g}".format(*row.interval)
        baseline = "" if row.baseline is None else f"{row.baseline:.4g}"
        table.add_row(row.name, row.arrow, f"{row.value:.4g}", ends, baseline, row.basis)
    return table
