"""Values from files as messages show them: short, on one line, and without secrets."""

import re
import reprlib
from typing import Any

from chimle.io.urls import without_mistyped_logins

_LONGEST = 160
"""Characters of a value in a message."""
_LOGIN = re.compile(r"://(?:[^/\s']*@|[^/\s'@:?]+:(?!\d+(?:[/\s']|$))[^\s'?]*@)")
"""A login ends with the last `@` before a slash; of a password that holds one, the last of all."""


def without_secrets(text: str) -> str:
    """Text without the user, password and query of its addresses."""
    text = re.sub(r"(:[/\\]+[^?\s']*\?)[^\s']*", r"\1…", text)
    return without_mistyped_logins(_LOGIN.sub("://", text))


def cut(text: str) -> str:
    """Text of at most `_LONGEST` characters."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class _Short(reprlib.Repr):
    """`repr` of the beginning of a value, however deep, large or recursive it is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 3, _LONGEST
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12

    def repr_str(self, value: str, _level: int) -> str:
        """A whole address, since its secrets are found by its end, then its beginning."""
        return cut(without_secrets(repr(value)))

    def repr_int(self, value: int, _level: int) -> str:
        """An integer; of a very large one, which Python refuses to print, its size."""
        try:
            return cut(repr(value))
        except ValueError:
            return f"an integer of {value.bit_length()} bits"


def shown(value: Any) -> str:
    """A value of any kind in a message."""
    return cut(_Short().repr(value))


def named(key: Any) -> str:
    """A mapping's key of any kind in a message: text as it is."""
    return cut(key) if isinstance(key, str) else shown(key)
