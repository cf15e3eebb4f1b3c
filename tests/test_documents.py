"""Commands and numbers of the documents are those of the repository."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from chimle.bundles.task_models import packaged_model
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


def _row(text: str, title: str) -> list[str]:
    """Cells of the first table row of a task."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("name", TASKS)
def test_the_readme_has_the_metrics_of_the_pretrained_models(name: str) -> None:
    """Those in the bundles: `make showcase` of a user changes the ones in showcase/metrics."""
    cells = _row((ROOT / "README.md").read_text(encoding="utf-8"), TASKS[name].title)
    with zipfile.ZipFile(packaged_model(name)) as bundle:
        metrics: dict[str, float] = json.loads(bundle.read("metrics.json"))["metrics"]
    names = ("lpips_squeeze", "lpips_squeeze_best_of_10", "frechet_squeeze")
    shown = [float(cells[column].replace(",", "")) for column in (5, 6, 8)]
    # The bundle's weights have half precision, and are evaluated once more.
    assert shown == pytest.approx([metrics[key] for key in names], rel=1e-3, abs=6e-4)
