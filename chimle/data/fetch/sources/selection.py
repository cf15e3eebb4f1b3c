"""Selection of targets and inputs in a folder: patterns, names, pairs."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chimle.data.fetch.sources.protocol import Collection, SourceFile
from chimle.data.file_names import BadNameError, collision_key, difference, printable, safe_name
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES
from chimle.images.formats import extension_of
from chimle.images.walk import FoundImage, LeftOut, walk_matches
from chimle.io.files import composed
from chimle.io.patterns import Match, expand, has_wildcards
from chimle.settings.source import Selection

LONGEST_KIND = "targets"
"""The longer one of the folders that fetched files lie in, `targets` and `inputs`."""


def _folders(pattern: str, root: Path, field: str) -> list[Match]:
    """What a pattern of folders matches."""
    matches = expand(pattern, root)
    if has_wildcards(pattern) and not os.path.lexists(root / pattern):
        if not any(match.path.is_dir() for match in matches):
            raise UserError(f"`{field}`: no folder matches {pattern} below {root.resolve()}")
    elif not (root / pattern).is_dir():
        raise UserError(f"`{field}`: {root / pattern} is no directory: name one with images")
    return matches


def _checked_name(image: FoundImage) -> str:
    """An image's name without extension, composed; `UserError` where no file may have it."""
    inside = image.inside.as_posix()
    try:
        safe_name(inside)
        safe_name(f"{LONGEST_KIND}/{inside}")  # A fetched file's name begins with its kind.
    except BadNameError as error:
        raise UserError(f"{printable(str(image.path))} {error}: rename it") from None
    return composed(image.inside.with_suffix("").as_posix())


def find_images(
    pattern: str, root: Path, field: str, exclude: Sequence[Path] = ()
) -> tuple[list[SourceFile], list[LeftOut]]:
    """All images below the folders that a pattern matches, and what is left out.

    Args:
        pattern: relative to `root` (`chimle.io.patterns`). What stands for its wildcards leads the
            names of the images.
        root: folder where the pattern starts.
        field: the parameter that holds the pattern, for messages.
        exclude: folders that are not searched.

    Returns:
        Images in the order of their names; files that are left out, with reasons.

    Raises:
        UserError: a folder is missing, there are no images, a name is not valid, or two are the
            same but for case or extension.
    """
    walked = walk_matches(_folders(pattern, root, field), exclude, "written by the pipeline")
    found: dict[str, SourceFile] = {}
    for image in walked.images:
        name, path = _checked_name(image), str(image.path)
        other = found.setdefault(collision_key(name), SourceFile(name, path))
        if other.path != path:
            endings = {extension_of(path), extension_of(other.path)}
            but_for = "the ending" if len(endings) > 1 else difference(path, other.path)
            raise UserError(
                f"{path} and {other.path} have the same name but for {but_for}: rename one"
            )
    if not found:
        detail = walked.summary() or ", ".join(sorted(SUFFIXES))
        raise UserError(f"`{field}`: {pattern} holds no images ({detail})")
    return sorted(found.values(), key=lambda file: file.name), walked.left_out


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
    selection: Selection,
    tree: Path,
    origin: Callable[[str], Mapping[str, str]],
    exclude: Sequence[Path] = (),
) -> Collection:
    """The collection of files that a selection names in a folder.

    Args:
        selection: patterns.
        tree: folder where the patterns start.
        origin: see `Collection`.
        exclude: folders that are not searched.

    Raises:
        UserError: a folder is missing or empty, a file has no partner, or the annotations are
            missing.
    """
    targets, left_out = find_images(selection.path, tree, "source.path", exclude)
    inputs: list[SourceFile] = []
    if selection.inputs:
        inputs, more = find_images(selection.inputs, tree, "source.inputs", exclude)
        left_out = list(dict.fromkeys((*left_out, *more)))
        _match(targets, inputs)
    annotations = tree / selection.annotations if selection.annotations else None
    if annotations is not None and not annotations.is_file():
        raise UserError(f"`source.annotations`: {annotations} is no file: name a text file")
    relative = [
        LeftOut(Path(os.path.relpath(one.path, tree)), one.reason)
        for one in left_out
        if one.path != annotations
    ]
    return Collection(targets, inputs, origin, annotations, left_out=relative)
