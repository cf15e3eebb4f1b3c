"""Print the metrics of every task and where the report is."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from chimle.report import metric_rows, read_json
from chimle.tasks import get_task
from stages._command import guarded, root_parser
from stages.report import project_tasks


def main(root: Path) -> None:
    """One table per task."""
    console = Console()
    for task in project_tasks(root):
        table = Table(title=get_task(task).title, title_justify="left")
        for heading in ("metric", "model", "doing nothing"):
            table.add_column(heading, justify="left" if heading == "metric" else "right")
        for row in metric_rows(read_json(root / "metrics" / f"{task}.json")):
            arrow = {True: " ↑", False: " ↓", None: ""}[row.higher_is_better]
            colour = {"better": "green", "worse": "red", "": "default"}[row.verdict]
            nothing = "" if row.nothing is None else f"{row.nothing:.4g}"
            table.add_row(row.name + arrow, f"[{colour}]{row.value:.4g}[/]", nothing)
        console.print(table)
        for warning in read_json(root / "metrics" / f"{task}.provenance.json")["warnings"]:
            console.print(f"[yellow]{warning}[/]")
    console.print(f"\nReport: {(root / 'report' / 'index.html').resolve()}", soft_wrap=True)


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
