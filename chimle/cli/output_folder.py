"""Where a command is to write, checked before it works for minutes."""

import os
from pathlib import Path

from chimle.errors import UserError
from chimle.io.files import resolved


def check_folder(folder: Path) -> None:
    """`UserError` where a folder cannot be made, or be written to, at a path."""
    resolved(folder)  # A loop of links does not exist, and yet nothing can be made there.
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file: name another folder for the results than {folder}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written to: name another folder for the results")
