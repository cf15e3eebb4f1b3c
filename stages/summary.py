"""Print the metrics of every task and where the report is."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chimle.errors import guarded
from chimle.metrics.metric_table import metric_rows, trained_features
from chimle.metrics.registry import split_headline
from chimle.report.results import read_provenance, read_task_metrics
from chimle.settings.reading import listed_tasks
from chimle.tasks import get_task
from stages._command import root_parser

_COLOURS = {"better": "bold green", "worse": "default", "": "default"}


def task_table(root: Path, task: str) -> Table:
    """Headline metrics of one task, of the model and of the input baseline."""
    provenance = read_provenance(root / "metrics" / f"{task}.provenance.json")
    title = f"{get_task(task).title} (N = {provenance['n']})"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("metric", "", "model", "input baseline", "computed over"):
        right = heading in ("model", "input baseline")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    metrics = read_task_metrics(root, task)
    headline, _ = split_headline(metrics)
    for row in metric_rows(metrics, trained_features(provenance)):
        if row.name not in headline:
            continue
        value = f"[{_COLOURS[row.verdict]}]{row.value:.4g}[/]"
        baseline = "" if row.baseline is None else f"{row.baseline:.4g}"
        table.add_row(escape(row.name), row.arrow, value, baseline, row.basis)
    return table


def main(root: Path, console: Console | None = None) -> None:
    """One table per task, each warning once, and the path of the report."""
    console = console or Console()
    warnings: dict[str, list[str]] = {}
    for task in listed_tasks(root):
        console.print(task_table(root, task))
        for text in read_provenance(root / "metrics" / f"{task}.provenance.json")["warnings"]:
            warnings.setdefault(str(text), []).append(task)
    console.print(
        "Green is better than the input baseline: the input itself, enlarged where it is smaller."
    )
    for text, tasks in warnings.items():
        console.print(f"[yellow]warning ({', '.join(tasks)}): {escape(text)}[/]")
    path = (root / "report" / "index.html").resolve()
    console.print(f"\nReport: {escape(str(path))}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
