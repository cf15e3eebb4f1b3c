"""A user's own files in a work tree; bad parameters link nothing and are left to the stages."""

from pathlib import Path

import pytest
import yaml

from flows import worktrees
from flows.own_files import link_own_files
from flows.worktrees import training_key

_TASK = "tasks: {colourization: "
BAD = {
    "not UTF-8": b"preset: demo\n# caf\xe9\n",
    "no mapping": b"- preset\n",
    "empty": b"",
    "a list of tasks": b"preset: demo\ntasks: [colourization]\n",
    "text for a task": f"{_TASK}demo}}".encode(),
    "text for a section": f"{_TASK}{{source: photos}}}}".encode(),
    "a list for a section": f"{_TASK}{{train: [1]}}}}".encode(),
    "a number of archives": f"{_TASK}{{source: {{kind: url, archives: 3}}}}}}".encode(),
    "text for a listing": f"{_TASK}{{source: {{kind: url, listing: a.csv}}}}}}".encode(),
    "no date": b"seed: 2024-13-45\n",
    "a date": b"seed: 2024-12-05\n",
    "keys of two kinds": f"{_TASK}{{1: 2, train: {{}}}}}}".encode(),
    "too deep": b"preset: " + b"[" * 3000,
    "a huge integer": b"seed: " + b"9" * 5000,
    "a null byte": b'preset: "a\\0b"\n',
    "a null byte in a path": f'{_TASK}{{source: {{kind: folder, path: "a\\0"}}}}}}'.encode(),
    "a long path": f"{_TASK}{{source: {{kind: folder, path: {'a' * 5000}}}}}}}".encode(),
}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A checkout and a work tree of it."""
    root, tree = tmp_path / "root", tmp_path / "tree"
    (tree / "presets").mkdir(parents=True)
    (tree / "presets" / "demo.yaml").write_text("{}")
    root.mkdir()
    return root, tree


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_bad_parameters_are_left_to_the_stages(
    places: tuple[Path, Path], content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worktrees, "git", lambda *_arguments: "files")
    root, tree = places
    (tree / "params.yaml").write_bytes(content)
    link_own_files(root, tree)
    assert sorted(path.name for path in tree.iterdir()) == ["params.yaml", "presets"]
    assert training_key(tree, "colourization")


def test_a_folder_and_one_inside_of_it_are_both_there(places: tuple[Path, Path]) -> None:
    root, tree = places
    for name in ("photos/a/1.png", "photos/b/2.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(name)
    sources = {"colourization": "photos/a", "decompression": "photos"}
    tasks = {task: {"source": {"kind": "folder", "path": path}} for task, path in sources.items()}
    (tree / "params.yaml").write_text(yaml.safe_dump({"preset": "demo", "tasks": tasks}))
    link_own_files(root, tree)
    for name in ("photos/a/1.png", "photos/b/2.png"):
        assert (tree / name).read_text() == name


def test_a_training_s_name_is_that_of_its_values(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worktrees, "git", lambda *_arguments: "files")
    tree, names = places[1], []
    for train in ("{rounds: 1, ema: 0.9}", "{ema: 0.9, rounds: 1}", "{rounds: 2, ema: 0.9}"):
        (tree / "params.yaml").write_text(f"tasks: {{colourization: {{train: {train}}}}}")
        names.append(training_key(tree, "colourization"))
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("pattern", "linked"),
    [
        ("photos/2024-*", ["photos"]),
        ("photos/*/day", ["photos"]),
        ("photos/**", ["photos"]),
        ("photos/a?/day", ["photos"]),
        ("ph[oa]tos/2024-01", ["photos"]),
        ("phot*/2024-01", ["photos", "photographs"]),
        ("old [2024]", ["old [2024]"]),
        ("old [2024]/*", ["old [2024]"]),
        ("**/day", []),
        ("mod*", []),
        ("../*", []),
    ],
)
def test_what_a_pattern_begins_with_is_linked(
    places: tuple[Path, Path], pattern: str, linked: list[str]
) -> None:
    root, tree = places
    for name in ("photos/2024-01", "photographs/2024-01", "old [2024]", "models", ".hidden"):
        (root / name).mkdir(parents=True)
    source = {"colourization": {"source": {"kind": "folder", "path": pattern}}}
    (tree / "params.yaml").write_text(yaml.safe_dump({"preset": "demo", "tasks": source}))
    link_own_files(root, tree)
    found = {path.name for path in tree.iterdir()} - {"params.yaml", "presets"}
    assert found == set(linked)
