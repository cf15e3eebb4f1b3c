"""Commands and numbers of the documents are those of the repository."""

import json
import re
from pathlib import Path

import pytest

from chimle.tasks import TASKS
from tests.support.helpers import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OWN = r"python -m ((?:chimle|stages|flows|benchmarks|tests)\b[\w.]*)"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_modules_that_are_run_exist(document: Path) -> None:
    modules = re.findall(OWN, document.read_text(encoding="utf-8"))
    paths = {name: ROOT / name.strip(".").replace(".", "/") for name in modules}
    assert not [
        name
        for name, path in paths.items()
        if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists()
    ]


def _metrics(folder: str, name: str) -> dict[str, float]:
    """Headline metrics of a task, as committed."""
    metrics: dict[str, float] = json.loads((ROOT / folder / f"{name}.json").read_text("utf-8"))
    return metrics


def _row(text: str, title: str) -> list[str]:
    """Cells of the first table row of a task."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("name", TASKS)
def test_the_readme_has_the_committed_metrics(name: str) -> None:
    cells = _row((ROOT / "README.md").read_text(encoding="utf-8"), TASKS[name].title)
    metrics = _metrics("showcase/metrics", name)
    assert cells[5:7] == [
        f"{metrics['lpips_squeeze']:.3f}",
        f"{metrics['lpips_squeeze_best_of_10']:.3f}",
    ]
    assert cells[8] == f"{metrics['frechet_squeeze']:,.0f}"


@pytest.mark.parametrize("name", TASKS)
def test_the_demo_s_table_has_the_committed_metrics(name: str) -> None:
    page = (ROOT / "docs" / "results" / "models.md").read_text(encoding="utf-8")
    cells = _row(page, TASKS[name].title)
    metrics = _metrics("metrics", name)
    assert cells[2].startswith(f"{metrics['lpips_squeeze_random']:.4f} ")
    assert cells[3] == f"{metrics['lpips_squeeze_random_best_of_10']:.4f}"
    assert cells[4].startswith(f"{metrics['frechet_squeeze_random']:.2f} ")
    assert cells[5] == f"{metrics['diversity_lpips_squeeze_random']:.4f}"
