"""A user's own files in a work tree; bad parameters link nothing and are left to the stages."""

import subprocess
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


def in_git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


def test_a_folder_that_git_holds_in_part_is_whole(places: tuple[Path, Path]) -> None:
    """The tree has the tracked files of its commit, links to the others, and no output."""
    root, tree = places
    untracked = ["photos/new.png", "photos/old/more.png", "photos/[a] b/\u00e9.png", "data/raw/a"]
    later = ["photos/later.png", "data/catalogue.yaml"]
    for name in ("photos/1.png", "photos/old/2.png", *later, *untracked):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    in_git(root, "init")
    (root / ".gitignore").write_text("/data/raw/\n/photos/old/more.png\n")
    in_git(root, "add", ".gitignore", "photos/1.png", "photos/old/2.png", *later)
    for name in ("photos/1.png", "photos/old/2.png", "data/other"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("of the commit")
    paths = {"colourization": "photos", "decompression": "data", "super_resolution": "."}
    tasks = {task: {"source": {"kind": "folder", "path": path}} for task, path in paths.items()}
    (tree / "params.yaml").write_text(yaml.safe_dump({"preset": "demo", "tasks": tasks}))
    link_own_files(root, tree)
    for name in untracked[:3]:
        assert (tree / name).read_text() == name
    for name in ("photos/1.png", "photos/old/2.png"):
        assert (tree / name).read_text() == "of the commit"
    assert not any((tree / name).exists() for name in (*later, "data/raw", ".gitignore"))


def test_a_folder_that_a_tree_has_and_the_checkout_does_not_track(
    places: tuple[Path, Path],
) -> None:
    root, tree = places
    for folder, name in ((root, "1.png"), (root, "2.png"), (tree, "1.png")):
        (folder / "photos" / "a").mkdir(parents=True, exist_ok=True)
        (folder / "photos" / "a" / name).write_text(f"{folder.name} {name}")
    in_git(root, "init")
    source = {"colourization": {"source": {"kind": "folder", "path": "photos"}}}
    (tree / "params.yaml").write_text(yaml.safe_dump({"preset": "demo", "tasks": source}))
    link_own_files(root, tree)
    found = {file.name: file.read_text() for file in (tree / "photos" / "a").iterdir()}
    assert found == {"1.png": "tree 1.png", "2.png": "root 2.png"}


def test_a_tracked_link_that_leads_nowhere_from_the_tree(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    root, _ = places
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_text("1")
    tree = root / "scratch" / "tree"
    (tree / "presets").mkdir(parents=True)
    for folder in (root, tree):
        (folder / "photos").symlink_to("../elsewhere")
    source = {"colourization": {"source": {"kind": "folder", "path": "photos"}}}
    (tree / "params.yaml").write_text(yaml.safe_dump({"preset": "demo", "tasks": source}))
    link_own_files(root, tree)
    assert (tree / "photos" / "1.png").read_text() == "1"
