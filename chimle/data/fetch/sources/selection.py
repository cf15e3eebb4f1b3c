"""Which files of a tree are targets and inputs: patterns, names, pairs."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath

from chimle.data.fetch.sources.protocol import Collection, SourceFile
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES
from chimle.settings.source import Selection


def _folders(pattern: str, root: Path, field: str) -> list[tuple[str, Path]]:
    """Directories that `pattern` names; one `*` component becomes the leading subfolder."""
    parts = Path(pattern).parts
    if parts.count("*") > 1 or any("*" in part and part != "*" for part in parts):
        raise UserError(f"`{field}`: {pattern} may hold one `*` for one directory level")
    if "*" not in parts:
        folder = root / pattern
        if not folder.is_dir():
            raise UserError(f"`{field}`: {folder} is no directory: name one with pictures")
        return [("", folder)]
    star = parts.index("*")
    above, below = root.joinpath(*parts[:star]), parts[star + 1 :]
    if not above.is_dir():
        raise UserError(f"`{field}`: {above} is no directory: name one with pictures")
    folders = [
        (child.name, child.joinpath(*below))
        for child in sorted(above.iterdir())
        if child.joinpath(*below).is_dir()
    ]
    if not folders:
        raise UserError(f"`{field}`: nothing matches {pattern} below {root.resolve()}")
    return folders


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of all pictures below a folder, in order; nothing hidden."""
    for above, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = PurePath(above).relative_to(folder)
        for name in sorted(files):
            if not name.startswith(".") and PurePath(name).suffix.lower() in SUFFIXES:
                yield str(inside / name)


def find_pictures(pattern: str, root: Path, field: str) -> list[SourceFile]:
    """All pictures below the folders that a pattern names, in the order of their names.

    Args:
        pattern: relative to `root`; one component may be `*`.
        root: where to look.
        field: the parameter that holds the pattern, for messages.

    Raises:
        UserError: a folder is missing, there are no pictures, or two have one name.
    """
    found: dict[str, str] = {}
    for prefix, folder in _folders(pattern, root, field):
        for inside in _files(folder):
            name = (Path(prefix) / inside).with_suffix("").as_posix()
            path = str(folder / inside)
            if name in found:
                raise UserError(
                    f"{path} and {found[name]} have the same name but for the ending: rename one"
                )
            found[name] = path
    if not found:
        endings = ", ".join(sorted(SUFFIXES))
        raise UserError(f"`{field}`: {pattern} holds no pictures ({endings})")
    return [SourceFile(name, found[name]) for name in sorted(found)]


def _match(targets: list[SourceFile], inputs: list[SourceFile]) -> None:
    """Every target needs its input and the other way round."""
    names = {photo.name for photo in targets}, {photo.name for photo in inputs}
    for here, there, kind in ((names[0], names[1], "input"), (names[1], names[0], "target")):
        unpaired = sorted(here - there)
        if unpaired:
            more = f" (and {len(unpaired) - 1} more)" if len(unpaired) > 1 else ""
            raise UserError(
                f"`source`: {unpaired[0]} has no {kind} of the same name{more}: "
                "add it or take the other away"
            )


def select(
    selection: Selection, tree: Path, origin: Callable[[str], Mapping[str, str]]
) -> Collection:
    """What a selection means in a tree of files.

    Args:
        selection: which files.
        tree: where its patterns start.
        origin: see `Collection`.

    Raises:
        UserError: a folder is missing or empty, names do not pair up, or there are no annotations
            where they should be.
    """
    targets = find_pictures(selection.path, tree, "source.path")
    inputs: list[SourceFile] = []
    if selection.inputs:
        inputs = find_pictures(selection.inputs, tree, "source.inputs")
        _match(targets, inputs)
    annotations = tree / selection.annotations if selection.annotations else None
    if annotations is not None and not annotations.is_file():
        raise UserError(f"`source.annotations`: {annotations} is no file: name a text file")
    return Collection(targets, inputs, origin, annotations)
