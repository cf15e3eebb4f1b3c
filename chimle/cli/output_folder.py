"""Where a command is to write, checked before it works for minutes."""

import os
from pathlib import Path

from chimle.data.manifests import PAIRS, SOURCE
from chimle.errors import UserError
from chimle.io.files import resolved

_HEADERS = frozenset({PAIRS, SOURCE, "bundle.json"})
"""Files that stand for their folders: of pairs, of a fetched source, of a model."""


def check_folder(folder: Path) -> None:
    """`UserError` where a folder cannot be made, or be written to, at a path."""
    resolved(folder)  # A loop of links does not exist, and yet nothing can be made there.
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise UserError(f"{there} is no folder: name another place for the results than {folder}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written to: name another folder for the results")


def check_new(out: Path) -> None:
    """`UserError` where a path is taken, or nothing can be written at it."""
    if os.path.lexists(out):
        raise UserError(f"{out} exists already: name another path or remove it")
    check_folder(out.parent)


def folder_read(address: str | Path) -> Path:
    """The path that an address names; of a file that says what a folder holds, that folder."""
    path = Path(address)
    return path.parent if path.name in _HEADERS and path.is_file() else path


def check_outside(out: Path, address: str) -> None:
    """`UserError` where a path lies in the folder that a command reads, if it is one.

    Whoever works in that folder expects results there: every path is then allowed, since no command
    writes over files that it has not written.
    """
    read = folder_read(address)
    if not read.is_dir() or Path.cwd().is_relative_to(resolved(read)):
        return
    if resolved(out).is_relative_to(resolved(read)):
        raise UserError(f"{out} lies in {read}, which is only read: name a path outside of it")
