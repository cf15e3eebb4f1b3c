"""Patterns of paths as in a shell: `*`, `?`, `[...]` within a component, `**` for any folders.

Differences to `glob`: a component that exists is literal, whatever brackets its name has; `**` does
not follow symbolic links, so that a link to a folder above cannot repeat anything.
"""

import fnmatch
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True)
class Match:
    """A path that a pattern matches.

    Attributes:
        path: the path.
        matched: the components that stand for components with wildcards.
    """

    path: Path
    matched: PurePath


def has_wildcards(pattern: str) -> bool:
    """Whether any component of a pattern has a wildcard."""
    return glob.has_magic(pattern)


def fixed_start(pattern: str, root: Path = Path()) -> PurePath:
    """The components of a pattern before its first wildcard.

    Args:
        pattern: relative to `root`, or absolute.
        root: folder where the pattern starts; what exists there is literal.
    """
    start = PurePath()
    for part in PurePath(pattern).parts:
        if has_wildcards(part) and not os.path.lexists(root / start / part):
            break
        start /= part
    return start


def expand(pattern: str, root: Path = Path()) -> list[Match]:
    """Existing paths that a pattern matches, in the order of their names.

    Wildcards do not match a leading dot: hidden names must be written out.

    Args:
        pattern: relative to `root`, or absolute.
        root: folder where the pattern starts.
    """
    path = root / pattern
    if os.path.lexists(path):
        return [Match(path, PurePath())]
    start = Path(PurePath(pattern).anchor) if PurePath(pattern).anchor else root
    found = [Match(start, PurePath())]
    for part in PurePath(pattern).parts:
        if part != PurePath(pattern).anchor:
            found = list(dict.fromkeys(step for one in found for step in _step(one, part)))
    return sorted(found, key=lambda one: one.path)


def _step(match: Match, part: str) -> Iterator[Match]:
    """Continuations of a match by one component of the pattern."""
    if os.path.lexists(match.path / part):
        wild = PurePath(part) if glob.has_magic(part) else PurePath()
        yield Match(match.path / part, match.matched / wild)
    elif part == "**":
        yield match
        for inside in _folders_below(match.path):
            yield Match(match.path / inside, match.matched / inside)
    elif glob.has_magic(part):
        hidden = part.startswith(".")
        for name in _names(match.path):
            if name.startswith(".") == hidden and fnmatch.fnmatchcase(name, part):
                yield Match(match.path / name, match.matched / name)


def _folders_below(folder: Path) -> Iterator[PurePath]:
    for above, folders, _ in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (Path(above) / name).is_symlink()
        )
        for name in folders:
            yield (Path(above) / name).relative_to(folder)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names only
    except OSError:
        return []
