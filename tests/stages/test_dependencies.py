"""Dependencies in `dvc.yaml`: exactly the files that each stage's program imports."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chimle.io.import_closure import import_closure
from stages.write_deps import FILES, NESTED, written_files
from tests.support.helpers import ROOT

Graph = dict[str, list[str]]
"""Code dependencies of every stage, as `dvc.yaml` names them, relative to the repository."""


def declared() -> Graph:
    """The graph of both files."""
    graph: Graph = {}
    for file in FILES:
        stages: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["stages"]
        for name, stage in stages.items():
            deps = [dep.removeprefix("../") for dep in stage.get("deps", [])]
            graph[name] = [dep for dep in deps if dep.startswith(("chimle/", "stages/"))]
    return graph


def files_of(dep: str) -> set[str]:
    """The Python files and templates that a dependency stands for."""
    path = ROOT / dep
    found = [path] if path.is_file() else [p for p in path.rglob("*") if p.suffix in (".py", ".j2")]
    blank = {p for p in found if p.name == "__init__.py" and not p.read_text().strip()}
    return {p.relative_to(ROOT).as_posix() for p in found if p not in blank}


def depends(graph: Graph, stage: str, file: str) -> bool:
    """Whether a change of a file makes a stage stale."""
    return any(file == dep or file.startswith(f"{dep}/") for dep in graph[stage])


def wrong(graph: Graph) -> set[tuple[str, str, str]]:
    """Stage, what is wrong, and the file: `missing` or `needless`."""
    found = set()
    for stage, deps in graph.items():
        imported = set(import_closure(ROOT / "stages" / f"{stage}.py"))
        named = set().union(*map(files_of, deps))
        blank = {n for n in named - imported if n.endswith("/__init__.py")}
        found |= {(stage, "missing", name) for name in imported - named}
        found |= {(stage, "needless", name) for name in named - imported - blank}
    return found


def test_dependencies_are_the_imports() -> None:
    assert wrong(declared()) == set(), "run `python -m stages.write_deps`"


@pytest.mark.parametrize("file", [*FILES, NESTED], ids=str)
def test_the_command_would_change_nothing(file: Path) -> None:
    assert written_files(ROOT)[file] == (ROOT / file).read_text()


SETTINGS = "chimle/settings"
CASES = {
    "the default JPEG quality": ("pair", "train", "chimle/settings/degradation.py"),
    "a comment in the settings of time-lapses": ("pair", "train", "chimle/settings/timelapse.py"),
    "a task's reduction": ("pair", None, "chimle/tasks.py"),
    "the layout of the contact sheet": ("pair", None, "chimle/images/contact_sheet.py"),
    "the level of intervals": ("compare", None, "chimle/metrics/intervals.py"),
}
"""What once was wrong: the stage that goes stale with a file, and one that must not."""


@pytest.mark.parametrize("case", CASES)
def test_what_once_was_wrong(case: str) -> None:
    stale, unaffected, file = CASES[case]
    graph = declared()
    assert depends(graph, stale, file)
    if unaffected:
        assert not depends(graph, unaffected, file)


@pytest.mark.parametrize("case", CASES)
def test_the_old_graph_is_found_wrong(case: str) -> None:
    """As it stood: the file is no dependency, or all settings are one."""
    stale, unaffected, file = CASES[case]
    graph = declared()
    expanded = {name for dep in graph[stale] for name in files_of(dep)}
    graph[stale] = sorted(expanded - {file})
    assert (stale, "missing", file) in wrong(graph)
    if unaffected:
        graph[unaffected] = [d for d in graph[unaffected] if not d.startswith(SETTINGS)]
        graph[unaffected].append(SETTINGS)
        assert (unaffected, "needless", file) in wrong(graph)
