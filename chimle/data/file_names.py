"""Validation of file names from archives, buckets and folders."""

import unicodedata
from pathlib import PureWindowsPath

from chimle.io.files import composed

LONGEST_PART = 255
"""Bytes of one component: the limit of common file systems."""
LONGEST_NAME = 1024
"""Bytes of a whole name."""


class BadNameError(ValueError):
    """A rejected name; the message completes a sentence that begins with the name."""


def safe_name(name: str) -> str:
    """A name as a normalised relative path with `/` between its components.

    Returns:
        The path; empty for the folder itself.

    Raises:
        BadNameError: it is absolute, leaves the folder, is no UTF-8, is too long, or holds a
            character that some file system treats specially.
    """
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        raise BadNameError("is no UTF-8") from None
    if name.startswith("/") or PureWindowsPath(name).drive:
        raise BadNameError("is absolute")
    if "\\" in name:
        raise BadNameError("has a backslash")
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise BadNameError("has a control character")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadNameError("leads out of its folder")
    if len(encoded) > LONGEST_NAME or any(len(p.encode()) > LONGEST_PART for p in parts):
        raise BadNameError("is too long")
    return "/".join(parts)


def printable(name: str) -> str:
    """A name for a message: one line, shortened, printable."""
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
    return shown if len(shown) <= 100 else f"{shown[:60]}…{shown[-20:]}"


def collision_key(name: str) -> str:
    """A text that is the same for names that some file system takes for one file.

    These are names that differ only in case or in the encoding of an accent.
    """
    return composed(name).casefold()


def difference(name: str, other: str) -> str:
    """What two names of one `collision_key` differ in."""
    return "the encoding of an accent" if composed(name) == composed(other) else "case"


class Names:
    """File names of a folder that is being filled; collisions (`collision_key`) are refused."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()

    def add(self, name: str) -> None:
        """Add a safe name.

        Raises:
            BadNameError: it is taken, or a file has the name of one of its folders.
        """
        key = collision_key(name)
        if (other := self._files.get(key)) is not None:
            same_but_for = f"beside {printable(other)}, the same but for {difference(name, other)}"
            raise BadNameError(f"is there {'twice' if other == name else same_but_for}")
        if key in self._folders:
            raise BadNameError("is both a file and a folder")
        self._files[key] = name
        above = key.rpartition("/")[0]
        while above and above not in self._folders:
            if above in self._files:
                raise BadNameError(f"needs a folder where {self._files[above]} is a file")
            self._folders.add(above)
            above = above.rpartition("/")[0]
