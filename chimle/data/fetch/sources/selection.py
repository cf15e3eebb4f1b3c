"""Selection of targets and inputs in a folder: patterns, names, pairs."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath

from chimle.data.fetch.sources.protocol import Collection, SourceFile
from chimle.data.file_names import BadNameError, printable, safe_name
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES
from chimle.settings.source import Selection


def _folders(pattern: str, root: Path, field: str) -> list[tuple[str, Path]]:
    """Directories that match `pattern`; the `*` component becomes the leading subfolder."""
    parts = Path(pattern).parts
    if parts.count("*") > 1 or any("*" in part and part != "*" for part in parts):
        raise UserError(f"`{field}`: {pattern} may hold one `*` for one directory level")
    if "*" not in parts:
        folder = root / pattern
        if not folder.is_dir():
            raise UserError(f"`{field}`: {folder} is no directory: name one with images")
        return [("", folder)]
    star = parts.index("*")
    above, below = root.joinpath(*parts[:star]), parts[star + 1 :]
    if not above.is_dir():
        raise UserError(f"`{field}`: {above} is no directory: name one with images")
    folders = [
        (child.name, child.joinpath(*below))
        for child in sorted(above.iterdir())
        if child.joinpath(*below).is_dir()
    ]
    if not folders:
        raise UserError(f"`{field}`: nothing matches {pattern} below {root.resolve()}")
    return folders


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of all images below a folder, in order, without hidden ones."""
    for above, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = PurePath(above).relative_to(folder)
        for name in sorted(files):
            is_image = not name.startswith(".") and PurePath(name).suffix.lower() in SUFFIXES
            if is_image and (Path(above) / name).is_file():  # A read of a pipe never ends.
                yield str(inside / name)


def find_images(pattern: str, root: Path, field: str) -> list[SourceFile]:
    """All images below the folders that match a pattern, in the order of their names.

    Args:
        pattern: relative to `root`; one component may be `*`.
        root: folder where the pattern starts.
        field: the parameter that holds the pattern, for messages.

    Raises:
        UserError: a folder is missing, there are no images, or two have the same name.
    """
    found: dict[str, str] = {}
    for prefix, folder in _folders(pattern, root, field):
        for inside in _files(folder):
            name = (Path(prefix) / inside).with_suffix("").as_posix()
            path = str(folder / inside)
            try:
                safe_name(inside)
            except BadNameError as error:
                raise UserError(f"{printable(path)} {error}: rename it") from None
            if name in found:
                raise UserError(
                    f"{path} and {found[name]} have the same name but for the ending: rename one"
                )
            found[name] = path
    if not found:
        endings = ", ".join(sorted(SUFFIXES))
        raise UserError(f"`{field}`: {pattern} holds no images ({endings})")
    return [SourceFile(name, found[name]) for name in sorted(found)]


def _match(targets: list[SourceFile], inputs: list[SourceFile]) -> None:
    """Check that every target has an input and every input a target."""
    names = {photo.name for photo in targets}, {photo.name for photo in inputs}
    for here, there, kind in ((names[0], names[1], "input"), (names[1], names[0], "target")):
        unpaired = sorted(here - there)
        if unpaired:
            more = f" (and {len(unpaired) - 1} more)" if len(unpaired) > 1 else ""
            raise UserError(
                f"`source`: {unpaired[0]} has no {kind} of the same name{more}: "
                "add it or remove the other"
            )


def select(
    selection: Selection, tree: Path, origin: Callable[[str], Mapping[str, str]]
) -> Collection:
    """The collection of files that a selection names in a folder.

    Args:
        selection: patterns.
        tree: folder where the patterns start.
        origin: see `Collection`.

    Raises:
        UserError: a folder is missing or empty, a file has no partner, or the annotations are
            missing.
    """
    targets = find_images(selection.path, tree, "source.path")
    inputs: list[SourceFile] = []
    if selection.inputs:
        inputs = find_images(selection.inputs, tree, "source.inputs")
        _match(targets, inputs)
    annotations = tree / selection.annotations if selection.annotations else None
    if annotations is not None and not annotations.is_file():
        raise UserError(f"`source.annotations`: {annotations} is no file: name a text file")
    return Collection(targets, inputs, origin, annotations)
