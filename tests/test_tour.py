"""docs/tour.ipynb: committed with its outputs, small, of no machine; its cells run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.helpers import ROOT
from tests.support.notebooks import KERNEL, execute, read

TOUR = ROOT / "docs" / "tour.ipynb"
LARGEST = 400_000
"""Bytes of the notebook."""
FEWEST_IMAGES = 6


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Its code cells, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Type and media types of a cell's outputs."""
    return [(out["output_type"], sorted(out.get("data", {}))) for out in cell["outputs"]]


@pytest.fixture(scope="module")
def tour() -> dict[str, Any]:
    """The committed notebook."""
    content: dict[str, Any] = json.loads(TOUR.read_text(encoding="utf-8"))
    return content


def test_it_is_committed_with_its_outputs(tour: dict[str, Any]) -> None:
    cells = code_cells(tour)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [out for cell in cells for out in cell["outputs"]]
    assert not [out for out in outputs if out["output_type"] == "error"]
    images = [out for out in outputs if {"image/png", "image/jpeg"} & set(out.get("data", {}))]
    assert len(images) >= FEWEST_IMAGES
    assert TOUR.stat().st_size < LARGEST


def test_it_says_nothing_of_a_machine(tour: dict[str, Any]) -> None:
    assert tour["metadata"] == KERNEL
    assert [cell["metadata"] for cell in tour["cells"] if cell["metadata"]] == []
    for cell in tour["cells"]:
        texts = [cell["source"], *(out.get("text", "") for out in cell.get("outputs", []))]
        texts += [out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])]
        text = "\n".join("".join(part) for part in texts)
        assert not re.search(r"(?<![\w.])(/[\w.-]+/[\w.-]+|[A-Z]:\\|~/)", text), text


def test_pages_that_it_links_to_exist(tour: dict[str, Any]) -> None:
    text = "\n".join("".join(cell["source"]) for cell in tour["cells"])
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 3
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


@pytest.mark.slow
def test_its_cells_give_outputs_of_the_committed_kinds(
    tour: dict[str, Any], tmp_path: Path
) -> None:
    for name in (TOUR.name, "showcase.jpg"):
        shutil.copy(ROOT / "docs" / name, tmp_path)
    done = execute(read(tmp_path / TOUR.name), tmp_path)
    for committed, executed in zip(code_cells(tour), code_cells(done), strict=True):
        assert kinds(executed) == kinds(committed), committed["source"]
    values = [
        out.get("data", {}).get("text/plain") for c in code_cells(done) for out in c["outputs"]
    ]
    assert "0" in values, "the sample drawn alone is the one drawn with others"
    assert "True" in values, "the loaded model gives the samples of the saved one"
