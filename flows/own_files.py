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

_FILE_FIELDS = (("perceptual", "weights"), ("evaluate", "inception"), ("train", "start"))
"""Section and field of settings that may name a file, beside those of `source`."""
_NO_FILES = {"official", "random", "scratch", "pretrained"}
"""Other values of these fields."""


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


def link_own_files(root: Path, tree: Path) -> None:
    """Link the user's own files into a work tree of the checkout `root`."""
    for name in _own_files(root, tree):
        try:
            wanted = (root / name).exists() and not (tree / name).exists()
        except (OSError, ValueError):  # It is too long for a name, or holds a null byte.
            continue
        if wanted:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).symlink_to((root / name).resolve())
