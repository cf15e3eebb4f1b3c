"""What `chimle score` does: any tool's outputs get the numbers that the pipeline's models get."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from chimle.device import choose_device
from chimle.errors import UserError
from chimle.io.files import write_text
from chimle.metrics.evaluator import EvaluationConfig, Scores, evaluate, flat_values
from chimle.metrics.inception import load_inception
from chimle.metrics.match_files import find_in_folders, find_in_table, read_predictions
from chimle.metrics.metric_table import as_json, curve_csv, measured_with, metric_rows
from chimle.metrics.registry import split_headline
from chimle.perceptual.lpips import load_perceptual
from chimle.settings import PairSettings, PerceptualSettings
from chimle.tasks import get_task


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, and with what.

    Attributes:
        outputs: folder, or CSV file with a row per answer.
        targets: folder; None with a CSV file.
        inputs: folder; None: agreement with inputs and doing nothing are left out.
        task: says what agreement with the input is; None: it is not judged.
        perceptual: the distance.
        inception: file of the FID's weights or `official`; None: no FID.
        jpeg_quality: of decompression's inputs, in Pillow's terms.
        seed: of the bootstrap.
        features: folder that keeps what the networks said; None: nowhere.
    """

    outputs: Path
    targets: Path | None
    inputs: Path | None
    task: str | None
    perceptual: PerceptualSettings
    inception: str | None = None
    jpeg_quality: int = 1
    seed: int = 0
    features: Path | None = None


def score(question: ScoreRequest) -> tuple[Scores, dict[str, Any]]:
    """Scores, and a plain `{"metrics": .., "details": .., "provenance": ..}` to write down.

    Raises:
        UserError: names, sizes or counts do not fit, or weights cannot be had.
    """
    task = None if question.task is None else get_task(question.task)
    is_table = question.outputs.suffix.lower() == ".csv"
    if is_table and (question.targets or question.inputs):
        raise UserError("a CSV file names targets and inputs itself: leave out the folders")
    if is_table:
        found = find_in_table(question.outputs)
    elif question.targets is None:
        raise UserError("name the folder of targets by `--targets`, or give a CSV file")
    else:
        found = find_in_folders(question.outputs, question.targets, question.inputs)
    if task is not None and any(files.input is None for files in found):
        raise UserError("`--task` judges agreement with inputs: name their folder by `--inputs`")
    device = str(choose_device())
    judge = EvaluationConfig(
        perceptual=load_perceptual(question.perceptual, device),
        inception=load_inception(question.inception, device),
        task=task,
        pair=PairSettings(jpeg_quality=question.jpeg_quality),
        seed=question.seed,
        records=question.features,
    )
    cases = read_predictions(found, enlarges=task is None or task.reduction > 1)
    scores, nothing = evaluate(cases, judge)
    headline, details = split_headline(flat_values(scores, nothing))
    origin = measured_with(judge, scores) | {"task": question.task or "none"}
    return scores, {"metrics": headline, "details": details, "provenance": origin}


def write_scores(out: Path, scores: Scores, content: dict[str, Any]) -> None:
    """`metrics.json`, `details.json`, `provenance.json` and `best_of_k.csv` in a folder."""
    for name, part in content.items():
        write_text(out / f"{name}.json", as_json(part))
    write_text(out / "best_of_k.csv", curve_csv(scores))


def score_table(content: dict[str, Any]) -> Table:
    """All numbers with intervals, beside those of doing nothing."""
    origin = content["provenance"]
    title = f"N = {origin['n']}, {origin['samples_per_input']} answers each"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("metric", "", "answers", "95 % interval", "doing nothing"):
        right = heading not in ("metric", "")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in metric_rows(content["metrics"] | content["details"]):
        ends = "" if row.interval is None else "{:.4g} - {:.4g}".format(*row.interval)
        nothing = "" if row.baseline is None else f"{row.baseline:.4g}"
        table.add_row(row.name, row.arrow, f"{row.value:.4g}", ends, nothing)
    return table
