"""Standard streams: any encoding, and readers that close the pipe early."""

import codecs
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ASCII = {"↑": "^", "↓": "v", "–": "-", "—": "-", "·": "-", "×": "x", "…": "...", "σ": "sigma"}
"""ASCII for characters that the program prints itself."""
_HANDLER = "chimle-ascii"


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: ASCII for what an encoding lacks, as `^` for `↑`, else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    known = (_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing)
    return "".join(known), error.end


codecs.register_error(_HANDLER, _to_ascii)


def prepare_streams() -> None:
    """Let standard output and error print any text in whatever encoding the terminal has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


@contextmanager
def closed_pipe_ignored() -> Iterator[None]:
    """Ignore a reader that closes the pipe early, as `head`: later output goes nowhere."""
    try:
        yield
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    # Python flushes both streams when it ends, which would fail again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Silence:
    """How many threads discard the output of C libraries, and where it went before."""

    lock = threading.Lock()
    holders = 0
    before: int | None = None


@contextmanager
def c_output_discarded() -> Iterator[None]:
    """Discard what C libraries write to standard error; libtiff warns there of what it reads.

    The descriptor belongs to the process: output of other threads is discarded, too.
    """
    with _Silence.lock:
        if not _Silence.holders:
            _Silence.before = _redirected(2, os.devnull)
        _Silence.holders += 1
    try:
        yield
    finally:
        with _Silence.lock:
            _Silence.holders -= 1
            if not _Silence.holders and _Silence.before is not None:
                os.dup2(_Silence.before, 2)
                os.close(_Silence.before)


def _redirected(descriptor: int, path: str) -> int | None:
    """Let a descriptor lead to a file; returns a copy of the old one, None if it was closed."""
    try:
        before = os.dup(descriptor)
    except OSError:
        return None
    target = os.open(path, os.O_WRONLY)
    os.dup2(target, descriptor)
    os.close(target)
    return before


def emit(text: str) -> None:
    """Print text to standard output; a closed pipe is no error."""
    with closed_pipe_ignored():
        print(text)


def emit_line(text: str) -> None:
    """Print one line to standard error; characters of names that are not printable are escaped."""
    with closed_pipe_ignored():
        print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    """Text with escapes for its line breaks, control characters and others that do not print."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
