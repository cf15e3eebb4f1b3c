"""Errors that a user can fix, and how command lines report them."""

import errno
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from chimle.io.terminal import closed_pipe_ignored, emit_line, prepare_streams
from chimle.io.urls import without_mistyped_logins


class UserError(Exception):
    """Bad input, parameters or environment: something that the user can fix.

    The message is one sentence that names the file, field or line and says what to do.
    Command lines print it without a traceback and exit with code 2. It shows no login of an address
    that was read as a path.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(without_mistyped_logins(message))


class TransientError(Exception):
    """A failure that a later attempt may not meet: network, S3 5xx, a busy lock, a killed process.

    The message is a phrase that fits into parentheses.

    Attributes:
        wait: seconds to wait that the server asks for; None: it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which another attempt may succeed."""

DISK_FULL = {
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is used up",
}
"""Operating system errors that every later write meets too."""
_INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C."""
_MEMORY_FULL = ("out of memory", "allocate memory", "not enough memory", "status_alloc_failed")
"""Parts of PyTorch's messages where memory is full; others speak of memory, too."""


def first_line(error: BaseException) -> str:
    """First line of an exception's message; its class name if the message is empty."""
    line = str(error).strip().split("\n", 1)[0].rstrip()
    return line or type(error).__name__


def describe_os_error(error: OSError) -> str:
    """An operating system error as one sentence that names the file."""
    name = f" ({without_mistyped_logins(str(error.filename))})" if error.filename else ""
    if error.errno in DISK_FULL:
        return f"{DISK_FULL[error.errno]}{name}: free some and run again; nothing was half-written"
    return f"{error.strerror or error}{name}"


def is_memory_full(error: BaseException) -> bool:
    """Whether an error says that this machine or its GPU has too little memory."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _MEMORY_FULL)


def guarded(main: Callable[[], None], debug: bool = False, smaller: str | None = None) -> None:
    """Run `main`; an error that the user can fix is printed as one sentence, exit code 2.

    A reader that closes the pipe early is no error. After Ctrl-C the exit code is 130, without a
    traceback.

    Args:
        main: the command.
        debug: keep the traceback.
        smaller: what to do where memory is full; None: that is no error that the user can fix.
    """
    prepare_streams()
    with closed_pipe_ignored():
        if debug:
            main()
            return
        try:
            main()
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            emit_line("interrupted")
            sys.exit(_INTERRUPTED)
        except UserError as error:
            _fail(str(error))
        except OSError as error:
            _fail(describe_os_error(error))
        except (MemoryError, RuntimeError) as error:
            if smaller is None or not is_memory_full(error):
                raise
            _fail(f"there is too little memory ({first_line(error)}): {smaller}")


def _fail(sentence: str) -> NoReturn:
    emit_line(f"error: {sentence}")
    sys.exit(2)
