"""The user's own files, which Git does not hold: linked from the checkout into a work tree.

What they are stands in `params.yaml` and its preset. Where one of these is not what it should be,
nothing is linked, and the stages report what is wrong with it.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from chimle.errors import UserError
from chimle.io.patterns import expand, fixed_start
from chimle.settings.reading import read_yaml
from flows.git import git

_FILE_FIELDS = (("perceptual", "weights"), ("evaluate", "inception"), ("train", "start"))
"""Section and field of settings that may name a file, beside those of `source`."""
_NO_FILES = {"official", "random", "scratch", "pretrained"}
"""Other values of these fields."""
OUTPUTS = ("data/raw", "data/pairs", "data/contact", "models", "galleries", "report", "runs")
"""Folders that hold outputs of stages."""


def as_mapping(value: Any) -> dict[Any, Any]:
    """A mapping as it is; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def read_or_empty(path: Path) -> dict[str, Any]:
    """The mapping of a YAML file; an empty one where it is missing or malformed."""
    try:
        return read_yaml(path)
    except (UserError, OSError, ValueError):  # A name may be too long, or hold a null byte.
        return {}


def _source_files(source: dict[str, Any]) -> Iterator[Any]:
    """The files that a source's parameters name, without paths inside archives."""
    if source.get("kind") == "folder":
        yield from (source.get(field) for field in ("path", "inputs", "annotations"))
    archives = source.get("archives")
    for archive in archives if isinstance(archives, list) else ():
        yield archive.get("address") if isinstance(archive, dict) else archive
    yield as_mapping(source.get("listing")).get("file")


def _named_files(sections: dict[str, Any]) -> Iterator[Any]:
    """The files that the sections of a task, or of a preset, name."""
    yield from _source_files(as_mapping(sections.get("source")))
    yield from (as_mapping(sections.get(section)).get(field) for section, field in _FILE_FIELDS)


def _relative_paths(content: dict[str, Any]) -> Iterator[PurePath]:
    """The relative paths and patterns that parameters or a preset name."""
    for sections in (content, *as_mapping(content.get("tasks")).values()):
        for value in _named_files(as_mapping(sections)):
            if not isinstance(value, str) or value in _NO_FILES or "://" in value:
                continue
            if not PurePath(value).is_absolute():
                yield PurePath(value)


def _fixed(root: Path, pattern: PurePath) -> list[PurePath]:
    """What a pattern names up to its first wildcard; all that its first part matches."""
    start, first = fixed_start(str(pattern), root), pattern.parts[:1]
    if start.parts or not first:
        return [start]
    # `**` stands for the whole checkout, which the tree has of its own.
    return [] if first == ("**",) else [PurePath(m.path.name) for m in expand(first[0], root)]


def _own_files(root: Path, tree: Path) -> list[PurePath]:
    """Relative paths of a user's images, weights and models; folders before what is in them."""
    params = read_or_empty(tree / "params.yaml")
    preset = read_or_empty(tree / "presets" / f"{params.get('preset', 'demo')}.yaml")
    named = {PurePath("data", "by-hand"), *_relative_paths(params), *_relative_paths(preset)}
    found = {path for pattern in named for path in _fixed(root, pattern)}
    # `models` holds outputs of stages, which DVC writes in this tree.
    own = (path for path in found if path.parts[:1] != ("models",) and ".." not in path.parts)
    return sorted(own, key=lambda path: (len(path.parts), path))


def _untracked(root: Path, folder: PurePath) -> list[PurePath]:
    """What Git does not hold of a folder of the checkout, but for outputs of stages."""
    listing = ("ls-files", "--others", "--directory", "-z", "--", f":(literal){folder}")
    found = [PurePath(name) for name in git(root, *listing).split("\0") if name]
    return [path for path in found if not any(map(path.is_relative_to, OUTPUTS))]


def _without_tracked(root: Path, tree: Path, path: PurePath) -> Iterator[PurePath]:
    """What a work tree lacks of something that Git does not hold in the checkout."""
    if (root / path).is_dir() and (tree / path).is_dir():
        for entry in sorted((root / path).iterdir()):
            yield from _without_tracked(root, tree, path / entry.name)
    elif not (tree / path).exists():
        yield path


def _lacking(root: Path, tree: Path, name: PurePath) -> Iterator[PurePath]:
    """What a work tree lacks of a file or folder of the checkout: all, or what Git does not hold.

    Tracked files are there as the tree's commit has them.
    """
    own, there = root / name, tree / name
    try:
        whole = own.exists() and not there.exists()
        inside = own.is_dir() and there.is_dir() and own.resolve() != there.resolve()
    except (OSError, ValueError):  # It is too long for a name, or holds a null byte.
        return
    if whole:
        yield name
    elif inside and name.parts:
        for path in _untracked(root, name):
            yield from _without_tracked(root, tree, path)


def link_own_files(root: Path, tree: Path) -> None:
    """Link the user's own files into a work tree of the checkout `root`.

    Raises:
        UserError: Git cannot say which files it holds.
    """
    for name in _own_files(root, tree):
        for path in list(_lacking(root, tree, name)):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).unlink(missing_ok=True)  # A tracked link may lead nowhere from here.
            (tree / path).symlink_to((root / path).resolve())
