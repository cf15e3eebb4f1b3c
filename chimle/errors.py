"""The one exception that is meant for a person, and what a command line makes of it."""

import errno
import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input, parameters or surroundings.

    The message is one sentence that names the file, field or line and says what to do.
    Command lines print it without a traceback and exit with code 2.
    """


class TransientError(Exception):
    """A failure that may pass: the network, S3 5xx, a busy lock, a process that somebody killed.

    The message fits into brackets.

    Attributes:
        wait: seconds that a server asks to be left alone; None: it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


_FULL = {errno.ENOSPC: "no space is left on the device", errno.EDQUOT: "the disk quota is used up"}


def describe_os_error(error: OSError) -> str:
    """An operating system's refusal as one sentence that names the file."""
    name = f" ({error.filename})" if error.filename else ""
    if error.errno in _FULL:
        return f"{_FULL[error.errno]}{name}: free some and run again; nothing was half-written"
    return f"{error.strerror or error}{name}"


def guarded(main: Callable[[], None], debug: bool = False) -> None:
    """Run `main`; what a person can mend becomes one sentence on stderr and exit code 2.

    With `debug` it keeps its traceback.
    """
    if debug:
        main()
        return
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {describe_os_error(error)}", file=sys.stderr)
        sys.exit(2)
