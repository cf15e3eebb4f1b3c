"""Values of DVC's configuration files."""

import re

from chimle.errors import UserError

_REFERENCE = re.compile(r"%\([^)]*\)s")


def reference(value: str) -> str | None:
    """The part of a value that DVC takes for the name of another one; None: there is none."""
    found = _REFERENCE.search(value)
    return found and found[0]


def checked_value(value: str) -> str:
    """A path or an address that is to be a value.

    Raises:
        UserError: it has a `reference`, which cannot be written in another way.
    """
    if found := reference(value):
        raise UserError(f"DVC takes `{found}` in {value} for the name of a setting: rename it")
    return value
