"""Resumable download of one file: retried, checked, then renamed.

`NAME.part` holds what has been received, `NAME.part.json` the version that it is a part of. A
finished file has a `NAME.json` with its SHA-256 and version.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from chimle.errors import TransientError, UserError
from chimle.io.file_locks import locked
from chimle.io.files import names_written, sha256_of, write_text
from chimle.io.versions import Known, Version

T = TypeVar("T")

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; the pause doubles with each attempt."""
LONGEST_PAUSE = 60.0
"""Seconds; a server that asks for a longer pause is an error."""
LATER = "try again later"
"""Ends the sentence of a failure that another attempt may not meet."""
_REPORT_INTERVAL = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's response.

    Attributes:
        version: of the whole file.
        start: offset of the first byte.
        chunks: the bytes; raises `TransientError` where the connection breaks.
    """

    version: Version
    start: int
    chunks: Iterator[bytes]


class Remote(Protocol):
    """A remote file."""

    @property
    def name(self) -> str:
        """Its address without secrets."""
        ...

    def probe(self) -> Version:
        """Its current version; raises as `open`."""
        ...

    def open(self, start: int, version: Version) -> AbstractContextManager[Reply]:
        """Its bytes from `start` if it still has this version, otherwise from 0.

        Raises:
            TransientError: another attempt may succeed.
            UserError: another attempt will not.
        """
        ...


@dataclass(frozen=True, slots=True)
class DownloadSpec:
    """The expected file.

    Attributes:
        sha256: that it must have; None: unknown.
        stated_by: who states that, for messages.
        version: that it must have if its hash is unknown.
        largest: limit on its bytes.
        limit: name of that limit, for messages.
    """

    sha256: str | None
    stated_by: str
    version: Version
    largest: int
    limit: str = "`source.most_bytes`"


def retry(
    name: str, retries: int, act: Callable[[], T], advanced: Callable[[], bool] = lambda: False
) -> T:
    """Call a function until it succeeds, with exponential back-off.

    Args:
        name: of what is fetched, for messages.
        retries: attempts after the first.
        act: the function; `TransientError` is retried.
        advanced: whether the last attempt made progress; then attempts are counted anew.

    Raises:
        UserError: `act` raises it, or the attempts are used up.
    """
    attempt = 0
    while True:
        try:
            return act()
        except TransientError as failure:
            attempt = 0 if advanced() else attempt
            if attempt >= retries:
                times = f"{retries + 1} attempts" if retries else "one attempt"
                raise UserError(f"{name} cannot be fetched ({failure}; {times}): {LATER}") from None
            # A float holds no power of 2 above the 1023rd, and `retries` may be any number.
            pause = min(FIRST_PAUSE * 2.0 ** min(attempt, 60), LONGEST_PAUSE)
            if failure.wait is not None:
                if failure.wait > LONGEST_PAUSE:
                    raise UserError(
                        f"{name} cannot be fetched ({failure}): "
                        f"its server asks to wait {failure.wait:.0f} seconds"
                    ) from None
                pause = max(pause, failure.wait)
            time.sleep(pause)
            attempt += 1


class Download:
    """A remote file that is downloaded to a path."""

    def __init__(self, remote: Remote, path: Path, retries: int) -> None:
        self.remote, self.path, self.retries = remote, path, retries
        self._part = path.with_name(f"{path.name}.part")
        self._part_note = path.with_name(f"{path.name}.part.json")
        self._note = path.with_name(f"{path.name}.json")
        self._lock = path.with_name(f"{path.name}.lock")
        self._most_received = 0

    def fetch(self, spec: DownloadSpec) -> Known:
        """Download the file to its path unless it is there already.

        Raises:
            UserError: it cannot be downloaded, or is not the expected one.
        """
        with locked(self._lock, on_wait=lambda: self._print("another process fetches it, waiting")):
            present = self._present(spec)
            return present or self._fetch(spec)

    def forget(self) -> None:
        """Remove what has been received."""
        with locked(self._lock):
            self._discard()

    def _print(self, text: str) -> None:
        print(f"fetch: {self.remote.name}: {text}", flush=True)

    def _discard(self) -> None:
        for path in (self._note, self.path, self._part, self._part_note):
            path.unlink(missing_ok=True)

    def _present(self, spec: DownloadSpec) -> Known | None:
        """The file at the path if it is the expected one; its hash is checked."""
        known = _read_note(self._note)
        if known is None or not self.path.is_file():
            return None
        if spec.sha256 is not None:
            wanted = known.sha256 == spec.sha256
        else:
            wanted = spec.version.is_identifiable() and known.version.matches(spec.version)
        if wanted and sha256_of(self.path) == known.sha256:
            return known
        self._note.unlink()
        self.path.unlink()
        return None

    def _fetch(self, spec: DownloadSpec) -> Known:
        resumed = self._received() > 0
        version = self._receive(spec)
        sha256 = sha256_of(self._part)
        if resumed and spec.sha256 not in (None, sha256):
            # The part of an earlier run may be damaged: fetch all of it once more.
            self._discard()
            version = self._receive(spec)
            sha256 = sha256_of(self._part)
        if spec.sha256 not in (None, sha256):
            self._discard()
            raise UserError(
                f"{self.remote.name} has SHA-256 {sha256}, "
                f"not the {spec.sha256} that {spec.stated_by}"
            )
        known = Known(sha256, version)
        write_text(self._note, json.dumps({"sha256": sha256, **version.to_json()}))
        self._part.replace(self.path)
        self._part_note.unlink(missing_ok=True)
        return known

    def _receive(self, spec: DownloadSpec) -> Version:
        self._most_received = self._received()

        def advanced() -> bool:
            before, self._most_received = (
                self._most_received,
                max(self._most_received, self._received()),
            )
            return self._most_received > before

        attempt = lambda: self._attempt(spec)  # noqa: E731
        return retry(self.remote.name, self.retries, attempt, advanced)

    def _received(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _resume_point(self) -> tuple[int, Version]:
        """Bytes received and their version; nothing where the version is unknown."""
        note = _read_version(self._part_note)
        if note is None or not (note.etag or note.modified or note.id):
            return 0, Version()
        return self._received(), note

    def _attempt(self, spec: DownloadSpec) -> Version:
        start, version = self._resume_point()
        if start and start == version.size:
            return version
        with self.remote.open(start, version) as reply:
            if reply.start == 0:
                self._part.unlink(missing_ok=True)
                write_text(self._part_note, json.dumps(reply.version.to_json()))
            total = reply.version.size
            if total is not None:
                self._check_size(total, spec)
            self._store(reply, spec)
        received = self._received()
        if total is not None and received > total:
            self._part.unlink()
            raise TransientError(f"{received:,} bytes came instead of {total:,}")
        if total is not None and received < total:
            raise TransientError(f"it ended after {received:,} of {total:,} bytes")
        return Version(received, reply.version.etag, reply.version.modified, reply.version.id)

    def _store(self, reply: Reply, spec: DownloadSpec) -> None:
        started = reported = time.monotonic()
        size = reply.start
        with names_written(self._part), self._part.open("ab") as stream:
            for chunk in reply.chunks:
                stream.write(chunk)
                stream.flush()
                size += len(chunk)
                self._check_size(size, spec)
                if time.monotonic() - reported > _REPORT_INTERVAL:
                    reported = time.monotonic()
                    rate = (size - reply.start) / (reported - started) / 1e6
                    whole = f" of {reply.version.size / 1e6:,.1f}" if reply.version.size else ""
                    self._print(f"{size / 1e6:,.1f}{whole} MB, {rate:.1f} MB per second")

    def _check_size(self, size: int, spec: DownloadSpec) -> None:
        if size > spec.largest:
            self._discard()
            raise UserError(
                f"{self.remote.name} is larger than {spec.limit} {spec.largest:,}: raise that"
            )


def _read_version(path: Path) -> Version | None:
    try:
        return Version(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _read_note(path: Path) -> Known | None:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return Known(note.pop("sha256"), Version(**note))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
