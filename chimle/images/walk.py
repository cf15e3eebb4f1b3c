"""Search of files, folders and patterns for image files, with the reason for each file left out.

Rules, for every command and source alike:

- Folders are searched to any depth, in the order of their names.
- Only regular files count: no pipes, sockets or devices.
- Hidden files and folders, and those that systems leave behind (`__MACOSX`, `@eaDir`, `Thumbs.db`),
  are left out, unless an argument names them.
- A symbolic link to a folder outside the searched one is followed, once. A link to a folder inside
  it is left out, since the folder itself is searched.
- Arguments may be patterns (`chimle.io.patterns`). Folders among the matches are searched.
- Every file that is left out is listed with its reason.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from chimle.errors import UserError
from chimle.images.formats import reason_against
from chimle.io.files import resolved
from chimle.io.patterns import Match, expand, has_wildcards

_SYSTEM_NAMES = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
)
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
HIDDEN = "hidden"
SYSTEM = "left behind by an operating system"
OUTPUT_FOLDER = "the output folder"
LISTED_REASONS = 6
"""Reasons that a summary lists."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image file.

    Attributes:
        path: as the argument leads to it.
        inside: its path below the folder that was named; of a file named itself, its name.
    """

    path: Path
    inside: PurePath


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is left out.

    Attributes:
        path: as the argument leads to it, or the argument itself.
        reason: a phrase, such as `hidden`.
        named: whether an argument names it; otherwise it was found in a folder.
    """

    path: Path
    reason: str
    named: bool = False


@dataclass
class Walk:
    """What a search found.

    Attributes:
        images: image files, each once, in the order of the arguments and of their names.
        left_out: everything else that is no folder.
    """

    images: list[FoundImage] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def summary(self) -> str:
        """How many files were left out, by reason; empty if there are none."""
        return left_out_summary(self.left_out)


def left_out_summary(left_out: Iterable[LeftOut]) -> str:
    """How many files were left out, by reason; empty if there are none."""
    counts = Counter(one.reason for one in left_out)
    if not counts:
        return ""
    parts = [f"{count} {reason}" for reason, count in counts.most_common(LISTED_REASONS)]
    if len(counts) > LISTED_REASONS:
        parts.append("others")
    total = counts.total()
    return f"{total} {'file is' if total == 1 else 'files are'} left out: {'; '.join(parts)}"


def skip_reason(name: str) -> str | None:
    """Why a name is left out of a search; None: it is not."""
    if name.lower() in _SYSTEM_NAMES | _SYSTEM_FILES:
        return SYSTEM
    return HIDDEN if name.startswith(".") else None


def walk(
    arguments: Sequence[str | Path],
    exclude: Sequence[Path] = (),
    excluded_as: str = OUTPUT_FOLDER,
) -> Walk:
    """Image files of files, folders and patterns.

    Args:
        arguments: as a user gives them.
        exclude: folders that are not searched, such as the output folder; one that is an argument
            itself is searched.
        excluded_as: the reason for leaving those out.

    Returns:
        What was found. An argument that leads to nothing is in `left_out`, with `named` set.

    Raises:
        UserError: an argument is empty, or an excluded folder is a loop of links.
    """
    search = _Search(exclude, excluded_as)
    for argument in arguments:
        if not str(argument) or "\0" in str(argument):
            raise UserError("an input's name is empty: name a file, a folder or a pattern")
        search.argument(str(argument))
    return search.found


def walk_matches(
    matches: Iterable[Match], exclude: Sequence[Path] = (), excluded_as: str = OUTPUT_FOLDER
) -> Walk:
    """Image files below the folders that a pattern matches.

    `inside` begins with the components that stand for wildcards: of `a/high/1.png`, found by the
    pattern `*/high`, it is `a/1.png`. What a wildcard matches beside folders is left out. For the
    other arguments see `walk`.
    """
    search = _Search(exclude, excluded_as)
    for match in matches:
        search.folder_match(match)
    return search.found


class _Search:
    """A search in progress."""

    def __init__(self, excluded: Sequence[Path], excluded_as: str) -> None:
        self.found = Walk()
        self._excluded = frozenset(resolved(folder) for folder in excluded)
        self._excluded_as = excluded_as
        self._seen: set[str] = set()
        self._visited: dict[tuple[int, int], str] = {}
        self._finished: set[str] = set()

    def argument(self, argument: str) -> None:
        """Search one argument."""
        literal = os.path.lexists(argument)
        matches = expand(argument)
        if not matches:
            reason = "matches nothing" if has_wildcards(argument) else "does not exist"
            self._leave_out(Path(argument), reason, named=True)
        for match in matches:
            if _matches_system(match):
                self._leave_out(match.path, SYSTEM)
            elif match.path.is_dir():
                self._folder(match.path)
            elif literal:
                self._named_file(match.path)
            else:
                self._file(match.path, PurePath(match.path.name))

    def folder_match(self, match: Match) -> None:
        """Search a folder that a pattern matches."""
        if _matches_system(match):
            self._leave_out(match.path, SYSTEM)
        elif not match.path.is_dir():
            reason = _not_regular(match.path) or reason_against(match.path.name)
            self._leave_out(match.path, reason or "beside the folders of the pattern")
        elif reason := self._excluded_reason(match.path):
            self._leave_out(match.path, reason)
        else:
            self._folder(match.path, match.matched)

    def _named_file(self, path: Path) -> None:
        """A file that the user names is an image whatever its extension."""
        if reason := _not_regular(path):
            self._leave_out(path, reason, named=True)
        else:
            self._add(path, PurePath(path.name))

    def _file(self, path: Path, inside: PurePath) -> None:
        if reason := _not_regular(path) or reason_against(path.name):
            self._leave_out(path, reason)
        else:
            self._add(path, inside)

    def _add(self, path: Path, inside: PurePath) -> None:
        if self._is_new(path):
            self.found.images.append(FoundImage(path, inside))

    def _leave_out(self, path: Path, reason: str, *, named: bool = False) -> None:
        if self._is_new(path):
            self.found.left_out.append(LeftOut(path, reason, named))

    def _is_new(self, path: Path) -> bool:
        key = _absolute(path)
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _folder(self, top: Path, inside: PurePath = PurePath()) -> None:  # noqa: B008
        """Search a folder that an argument names or matches."""
        real_top = top.resolve()
        pending = [(top, inside)]
        while pending:
            folder, inside = pending.pop()
            try:
                status = folder.stat()
                names = sorted(os.listdir(folder))  # noqa: PTH208 - names only
            except OSError as error:
                self._leave_out(folder, (error.strerror or "unreadable folder").lower())
                continue
            here = _absolute(folder)
            before = self._visited.setdefault((status.st_dev, status.st_ino), here)
            if before != here:
                self._leave_out(folder, "a folder that is searched already")
                continue
            if here in self._finished:  # An earlier argument names it, or a folder above it.
                continue
            self._finished.add(here)
            below = []
            for name in names:
                path = folder / name
                is_folder = os.path.isdir(path)  # noqa: PTH112 - False where it cannot be read
                if reason := skip_reason(name):
                    self._leave_out(path, f"{reason} (folder)" if is_folder else reason)
                elif not is_folder:
                    self._file(path, inside / name)
                elif reason := self._folder_reason(path, real_top):
                    self._leave_out(path, reason)
                else:
                    below.append((path, inside / name))
            pending += reversed(below)

    def _folder_reason(self, folder: Path, top: Path) -> str | None:
        """Why a folder below `top` is not searched; None: it is."""
        if reason := self._excluded_reason(folder):
            return reason
        if folder.is_symlink() and folder.resolve().is_relative_to(top):
            return "a link to a folder that is searched itself"
        return None

    def _excluded_reason(self, folder: Path) -> str | None:
        try:
            return self._excluded_as if folder.resolve() in self._excluded else None
        except OSError as error:
            return (error.strerror or "unreadable folder").lower()


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - `resolve` would merge links


def _matches_system(match: Match) -> bool:
    """Whether a wildcard matches what an operating system has left behind."""
    return any(skip_reason(part) == SYSTEM for part in match.matched.parts)


def _not_regular(path: Path) -> str | None:
    """Why a path is no regular file; None: it is one."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114 - False where the path is too long
            return "a broken link"
        return (error.strerror or "unreadable").lower()
    if stat.S_ISREG(mode):
        return None
    kinds: tuple[tuple[Callable[[int], bool], str], ...] = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((words for test, words in kinds if test(mode)), "no regular file")
