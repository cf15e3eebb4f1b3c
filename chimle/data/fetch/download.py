"""One file from elsewhere to one path: continued after a break, tried again, checked, then named.

What arrives lies in `NAME.part`, beside it in `NAME.part.json` which version it is a part of. A
finished file has a `NAME.json` with its SHA-256 and version.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from chimle.data.fetch.checksums import Known, Version
from chimle.errors import TransientError, UserError
from chimle.io.files import locked, sha256_of, write_text

T = TypeVar("T")

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further pause is twice the last."""
LONGEST_PAUSE = 60.0
"""Seconds; a server that asks for more is not waited for."""
_SAY_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sends.

    Attributes:
        version: of the whole file.
        start: offset of the first byte that comes.
        pieces: the bytes; `PassingError` where the connection breaks.
    """

    version: Version
    start: int
    pieces: Iterator[bytes]


class Remote(Protocol):
    """A file behind an address."""

    @property
    def name(self) -> str:
        """Its address as it may be printed."""
        ...

    def probe(self) -> Version:
        """Its version now; raises as `open`."""
        ...

    def open(self, start: int, version: Version) -> AbstractContextManager[Reply]:
        """Its bytes from `start` on, if it still has this version; otherwise from 0 on.

        Raises:
            PassingError: trying again may help.
            UserError: it will not.
        """
        ...


@dataclass(frozen=True, slots=True)
class DownloadSpec:
    """What is expected of a file.

    Attributes:
        sha256: what it must have; None: what it has is found out.
        because: who says so, for messages.
        version: what it must have if its content is not known.
        largest: bytes that are taken at most.
    """

    sha256: str | None
    because: str
    version: Version
    largest: int


def retry(
    name: str, retries: int, act: Callable[[], T], advanced: Callable[[], bool] = lambda: False
) -> T:
    """Do something until it succeeds, with growing pauses.

    Args:
        name: what it is done with, for messages.
        retries: attempts after the first.
        act: what to do.
        advanced: whether the last attempt was good for something; then patience begins anew.

    Raises:
        UserError: `act` raises it, or patience has come to its end.
    """
    attempt = 0
    while True:
        try:
            return act()
        except TransientError as failure:
            attempt = 0 if advanced() else attempt
            if attempt >= retries:
                times = f"{retries + 1} attempts" if retries else "one attempt"
                raise UserError(
                    f"{name} cannot be fetched ({failure}; {times}): try again later"
                ) from None
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
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
    """A file that comes to a path."""

    def __init__(self, remote: Remote, path: Path, retries: int) -> None:
        self.remote, self.path, self.retries = remote, path, retries
        self._part = path.with_name(f"{path.name}.part")
        self._part_note = path.with_name(f"{path.name}.part.json")
        self._note = path.with_name(f"{path.name}.json")
        self._lock = path.with_name(f"{path.name}.lock")
        self._furthest = 0

    def fetch(self, wish: DownloadSpec) -> Known:
        """Bring the file to its path, unless it is there already.

        Raises:
            UserError: it cannot be had, or is not what was wished for.
        """
        with locked(self._lock, on_wait=lambda: self._say("another process fetches it, waiting")):
            kept = self._kept(wish)
            return kept or self._fetch(wish)

    def forget(self) -> None:
        """Remove what has arrived."""
        with locked(self._lock):
            self._discard()

    def _say(self, text: str) -> None:
        print(f"fetch: {self.remote.name}: {text}", flush=True)

    def _discard(self) -> None:
        for path in (self._note, self.path, self._part, self._part_note):
            path.unlink(missing_ok=True)

    def _kept(self, wish: DownloadSpec) -> Known | None:
        """What lies there, if it is what is wished for; read to see that it is whole."""
        known = _read_note(self._note)
        if known is None or not self.path.is_file():
            return None
        if wish.sha256 is not None:
            wanted = known.sha256 == wish.sha256
        else:
            wanted = wish.version.is_identifiable() and known.version.matches(wish.version)
        if wanted and sha256_of(self.path) == known.sha256:
            return known
        self._note.unlink()
        self.path.unlink()
        return None

    def _fetch(self, wish: DownloadSpec) -> Known:
        resumed = self._arrived() > 0
        version = self._receive(wish)
        sha256 = sha256_of(self._part)
        if resumed and wish.sha256 not in (None, sha256):
            # The part that lay there may have been damaged: believe only a whole new one.
            self._discard()
            version = self._receive(wish)
            sha256 = sha256_of(self._part)
        if wish.sha256 not in (None, sha256):
            self._discard()
            raise UserError(
                f"{self.remote.name} has SHA-256 {sha256}, "
                f"not the {wish.sha256} that {wish.because}"
            )
        known = Known(sha256, version)
        write_text(self._note, json.dumps({"sha256": sha256, **version.to_json()}))
        self._part.replace(self.path)
        self._part_note.unlink(missing_ok=True)
        return known

    def _receive(self, wish: DownloadSpec) -> Version:
        self._furthest = self._arrived()

        def advanced() -> bool:
            before, self._furthest = self._furthest, max(self._furthest, self._arrived())
            return self._furthest > before

        attempt = lambda: self._attempt(wish)  # noqa: E731
        return retry(self.remote.name, self.retries, attempt, advanced)

    def _arrived(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _begun(self) -> tuple[int, Version]:
        """How much lies there of which version; nothing where that cannot be told."""
        note = _read_version(self._part_note)
        if note is None or not (note.etag or note.modified or note.id):
            return 0, Version()
        return self._arrived(), note

    def _attempt(self, wish: DownloadSpec) -> Version:
        start, version = self._begun()
        if start and start == version.size:
            return version
        with self.remote.open(start, version) as reply:
            if reply.start == 0:
                self._part.unlink(missing_ok=True)
                write_text(self._part_note, json.dumps(reply.version.to_json()))
            total = reply.version.size
            if total is not None:
                self._bound(total, wish.largest)
            self._store(reply, wish.largest)
        arrived = self._arrived()
        if total is not None and arrived > total:
            self._part.unlink()
            raise TransientError(f"{arrived:,} bytes came instead of {total:,}")
        if total is not None and arrived < total:
            raise TransientError(f"it ended after {arrived:,} of {total:,} bytes")
        return Version(arrived, reply.version.etag, reply.version.modified, reply.version.id)

    def _store(self, reply: Reply, largest: int) -> None:
        begun = said = time.monotonic()
        size = reply.start
        with self._part.open("ab") as stream:
            for piece in reply.pieces:
                stream.write(piece)
                stream.flush()
                size += len(piece)
                self._bound(size, largest)
                if time.monotonic() - said > _SAY_EVERY:
                    said = time.monotonic()
                    rate = (size - reply.start) / (said - begun) / 1e6
                    whole = f" of {reply.version.size / 1e6:,.1f}" if reply.version.size else ""
                    self._say(f"{size / 1e6:,.1f}{whole} MB, {rate:.1f} MB per second")

    def _bound(self, size: int, largest: int) -> None:
        if size > largest:
            self._discard()
            raise UserError(
                f"{self.remote.name} is larger than `source.most_bytes` {largest:,}: raise that"
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
