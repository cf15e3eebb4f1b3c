"""Tables of the comparison in Markdown, and its numbers for `dvc metrics diff`."""

from collections.abc import Sequence

from chimle.baselines.methods import CHIMLE, METHODS, get_method
from chimle.baselines.statistics import RelativeChange, Run, change
from chimle.metrics.metric_table import trained_features
from chimle.metrics.registry import features_of, find_metric

SIGMA = "0_2"
"""Of the faithfulness-weighted variance in the table."""
TRAINED = "†"
"""Marks metrics over features that CHIMLE was trained on."""


def headings(runs: Sequence[Run]) -> dict[str, str]:
    """Metric and heading of the table's columns; `TRAINED` marks features that CHIMLE saw.

    A column is left out unless every run of the task has its metric.
    """
    provenance = runs[0]["provenance"]
    features, count = provenance["extractor"]["name"], provenance["samples_per_input"]
    columns = {
        "agreement_psnr": "agreement, dB",
        "agreement_lightness": "lightness error",
        "fid": "FID",
        f"frechet_{features}": f"Frechet, {features}",
        f"frechet_{features}_x2": f"Frechet, {features} x2",
        f"lpips_{features}": "LPIPS mean",
        f"lpips_{features}_best_of_{count}": f"LPIPS best of {count}",
        f"lpips_{features}_x2": "LPIPS x2 mean",
        "spectrum": "spectrum, dB",
        "sliced_wasserstein_fine": "sliced Wasserstein, fine",
        f"diversity_lpips_{features}": "diversity",
        f"faithful_variance_{features}_sigma_{SIGMA}": "faithful variance, σ 0.2",
    }
    trained = _trained_features(runs)
    return {
        name: f"{title}{_mark(name, trained)} {_arrow(name)}"
        for name, title in columns.items()
        if all(name in run["values"] for run in runs)
    }


def _trained_features(runs: Sequence[Run]) -> tuple[str, ...]:
    """Features that CHIMLE's training saw; those of the first method where it was not run."""
    first = next((run for run in runs if run["method"] == CHIMLE), runs[0])
    return trained_features(first["provenance"]) or ()


def _mark(name: str, trained: Sequence[str]) -> str:
    return TRAINED if features_of(name) in trained else ""


def _arrow(name: str) -> str:
    metric = find_metric(name)
    return "" if metric is None else metric.arrow


def _entry(found: RelativeChange) -> str:
    text = f"{found.value:.4g}"
    if found.deviation is not None:
        text += f" ± {found.deviation:.2g}"
    if found.relative is None:
        return text
    if found.interval is None:
        return f"{text} ({found.relative:+.0%})"
    low, high = found.interval
    return f"{text} ({found.relative:+.0%}, {low:+.0%} to {high:+.0%})"


def ordered(runs: Sequence[Run]) -> list[str]:
    """Methods with runs, in the order of `METHODS`."""
    present = {run["method"] for run in runs}
    return [name for name in METHODS if name in present]


def task_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by task, tasks sorted."""
    tasks = sorted({run["task"] for run in runs})
    return {task: [run for run in runs if run["task"] == task] for task in tasks}


def task_table(runs: Sequence[Run]) -> str:
    """One task's table in Markdown: a row per method, in brackets its change against CHIMLE."""
    task, columns = runs[0]["task"], headings(runs)
    first = ("method", "seconds", "steps", "parameters", *columns.values())
    lines = [f"| {' | '.join(first)} |", "|" + "---|" * len(first)]
    for name in ordered(runs):
        own = [run for run in runs if run["method"] == name]
        entries = [_entry(change(runs, task, name, metric)) for metric in columns]
        seconds = sum(run["seconds"] for run in own) / len(own)
        steps = sum(run["steps"] for run in own) / len(own)
        facts = (
            get_method(name).title,
            f"{seconds:.0f}",
            f"{steps:.0f}",
            str(own[0]["parameters"]),
        )
        lines.append(f"| {' | '.join((*facts, *entries))} |")
    return "\n".join(lines) + "\n"


def page(runs: Sequence[Run]) -> str:
    """The whole comparison in Markdown."""
    parts = []
    for task, own in task_runs(runs).items():
        provenance = own[0]["provenance"]
        extractor, seeds = provenance["extractor"], sorted({run["seed"] for run in own})
        parts.append(
            f"## {task}\n\n"
            f"Preset {own[0]['preset']}, N = {provenance['n']} test inputs with "
            f"{provenance['samples_per_input']} samples each, seeds {', '.join(map(str, seeds))}; "
            f"features: {extractor['name']} ({extractor['origin']}). In brackets the change "
            "against CHIMLE, with its 95 % interval over inputs where the metric is a mean over "
            f"them; ± is over seeds. {TRAINED}: over features that CHIMLE "
            f"was trained on.\n\n{task_table(own)}"
        )
    return "# Comparison\n\n" + "\n".join([*parts, method_list(runs)])


def method_list(runs: Sequence[Run]) -> str:
    """What each method with runs is, as a list in Markdown."""
    methods = (get_method(name) for name in ordered(runs))
    rows = (f"- {method.title}: {method.meaning}" for method in methods)
    return "## Methods\n\n" + "\n".join(rows) + "\n"


def numbers(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, float]]]:
    """Task, method and metric of the table's columns: means over seeds."""
    return {
        task: {
            name: {metric: change(own, task, name, metric).value for metric in headings(own)}
            for name in ordered(own)
        }
        for task, own in task_runs(runs).items()
    }


def known_table(found: dict[str, list[dict[str, dict[str, float]]]]) -> str:
    """Known modes in Markdown: per layout and method, means over seeds (least to most covered).

    Args:
        found: per method and seed, the record of `stages.known_modes`.
    """
    lines = [
        "| targets differ | modes | method | covered | (least, most) | frequency error | "
        "of a perfect sampler | on no mode | steps |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    layouts = list(next(iter(found.values()))[0])
    for layout in layouts:
        for name in (name for name in METHODS if name in found):
            runs = [run[layout] for run in found[name]]
            covered = [run["covered"] for run in runs]

            def mean(field: str, runs: list[dict[str, float]] = runs) -> float:
                return sum(run[field] for run in runs) / len(runs)

            lines.append(
                f"| {layout} | {runs[0]['modes']} | {get_method(name).title} | "
                f"{mean('covered'):.1%} | {min(covered):.1%}, {max(covered):.1%} | "
                f"{mean('frequency_error'):.2f} | {mean('least_error'):.2f} | {mean('off'):.1%} | "
                f"{mean('steps'):.0f} |"
            )
    return "\n".join(lines) + "\n"
