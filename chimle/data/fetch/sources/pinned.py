"""A file elsewhere that is held to what was recorded of it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from chimle.data.fetch.archives import DamagedError, unpack
from chimle.data.fetch.checksums import ChecksumStore, Known, Version, sha256_of_unchanged
from chimle.data.fetch.download import Download, DownloadSpec, Remote, retry
from chimle.data.fetch.source_addresses import checksum_key, download_name, file_name, plain
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.data.fetch.unpacking import Bounds
from chimle.data.file_names import Names
from chimle.errors import TransientError, UserError
from chimle.io.files import write_text
from chimle.io.journal import read_lines
from chimle.settings.source import UnpackedSelection

ACCEPT = "run `python -m stages.check TASK --accept` to take what is there now"
"""How a person agrees to a change."""
STEADY = "or name its `sha256`, which is then all that counts"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that is here.

    Attributes:
        path: where.
        address: as it may be printed.
        sha256: of its content.
        name: the last component of its address.
    """

    path: Path
    address: str
    sha256: str
    name: str


class PinnedFile(Protocol):
    """A file that can be asked for its version, fetched, and forgotten."""

    def fingerprint(self) -> dict[str, Any]:
        """What tells its versions apart; see `Source.now`."""
        ...

    def bring(self) -> FetchedFile:
        """The file, fetched and checked; raises as `Source.bring`."""
        ...

    def record(self) -> None:
        """Record what was brought, if it was for the first time."""
        ...

    def discard_unverified(self) -> None:
        """What was brought turned out to be damaged: if nothing vouches for it, drop it."""
        ...

    def forget(self) -> None:
        """Forget what was recorded."""
        ...


def warn_unseen(address: str, error: TransientError) -> None:
    """Say that a source could not be looked at and goes by what was recorded of it."""
    print(
        f"warning: {address} cannot be looked at ({error}): taken to be what was recorded of it",
        file=sys.stderr,
    )


class LocalFile:
    """A file of this machine, used where it lies."""

    def __init__(self, address: str, path: Path, sha256: str | None, place: Workspace) -> None:
        self.address, self.path, self.sha256, self.place = address, path, sha256, place
        self.key, self.ledger = checksum_key(address), ChecksumStore(place.checksums, place.scratch)

    def fingerprint(self) -> dict[str, Any]:
        """Its SHA-256, read again only after it was changed."""
        return {"sha256": self.sha256 or self._checked()}

    def bring(self) -> FetchedFile:
        """It is here already."""
        return FetchedFile(self.path, plain(self.address), self._checked(), self.path.name)

    def record(self) -> None:
        """Record its SHA-256."""
        if not self.sha256:
            known = Known(self._checked(), Version(self.path.stat().st_size))
            self.ledger.record(self.key, known)

    def discard_unverified(self) -> None:
        """It stays where it lies."""

    def forget(self) -> None:
        """Forget its SHA-256."""
        self.ledger.forget([self.key])

    def _checked(self) -> str:
        if not self.path.is_file():
            what = "is a folder: use `kind: folder`" if self.path.is_dir() else "does not exist"
            raise UserError(f"`source.archives`: {self.path} {what}")
        found = sha256_of_unchanged(self.path, self.place.scratch)
        if self.sha256:
            if found != self.sha256:
                raise UserError(
                    f"{self.path} has SHA-256 {found}, not the {self.sha256} of its "
                    "`sha256` in `source`: mend one of them"
                )
            return found
        known = self.ledger.get(self.key)
        if known and known.sha256 != found:
            raise UserError(f"{self.path} has changed since it was first used: {ACCEPT}")
        return found


class RemoteFile:
    """A file behind a connection."""

    def __init__(
        self,
        remote: Remote,
        address: str,
        sha256: str | None,
        place: Workspace,
        *,
        retries: int,
        largest: int,
    ) -> None:
        self.remote, self.address, self.sha256 = remote, address, sha256
        self.key, self.ledger = checksum_key(address), ChecksumStore(place.checksums, place.scratch)
        self.retries, self.largest = retries, largest
        path = place.scratch / "downloads" / download_name(address)
        self.download = Download(remote, path, retries)
        self._new: Known | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Its SHA-256 where settings name it, else by what its server tells versions apart.

        What the ledger recorded is returned as long as nothing speaks against it.
        """
        if self.sha256:
            return {"sha256": self.sha256}
        known = self.ledger.get(self.key)
        if known is None:
            return self._probe(self.retries).to_json()
        try:
            self._unchanged(known, self.remote.probe())
        except TransientError as error:
            warn_unseen(self.remote.name, error)
        return known.version.to_json()

    def bring(self) -> FetchedFile:
        """The file, downloaded unless it is here already."""
        known = self.ledger.get(self.key)
        if self.sha256:
            wish = DownloadSpec(
                self.sha256, "its `sha256` in `source` names", Version(), self.largest
            )
            found = self.download.fetch(wish)
        elif known:
            because = f"{self.ledger.path} recorded: {ACCEPT}"
            found = self.download.fetch(
                DownloadSpec(known.sha256, because, known.version, self.largest)
            )
        else:
            found = self._first()
        name = file_name(self.address)
        return FetchedFile(self.download.path, self.remote.name, found.sha256, name)

    def record(self) -> None:
        """Record its SHA-256 and version, if it was fetched for the first time."""
        if self._new:
            self.ledger.record(self.key, self._new)

    def discard_unverified(self) -> None:
        """Remove what was fetched for the first time: the next run fetches it again."""
        if self._new:
            self.download.forget()

    def forget(self) -> None:
        """Forget its SHA-256 and version, and what has arrived of it."""
        self.ledger.forget([self.key])
        self.download.forget()

    def _first(self) -> Known:
        """Fetch it for the first time."""
        before = self._probe(self.retries)
        found = self.download.fetch(DownloadSpec(None, "", before, self.largest))
        if not found.version.matches(before):
            self.download.forget()
            raise UserError(
                f"{self.remote.name} became another file while it was fetched: run again, {STEADY}"
            )
        # What a look told, not what came with the content: the next look is compared with it.
        self._new = Known(found.sha256, before)
        return found

    def _probe(self, retries: int) -> Version:
        return retry(self.remote.name, retries, self.remote.probe)

    def _unchanged(self, known: Known, now: Version) -> None:
        if not now.matches(known.version):
            raise UserError(
                f"{self.remote.name} has changed since it was first fetched: {ACCEPT}, {STEADY}"
            )


class _Origins:
    """From a path of the tree to the archive that it came in."""

    def __init__(self, tree: Path) -> None:
        self._tree = f"{tree}/"
        self._of: dict[str, FetchedFile] = {}

    def add(self, name: str, archive: FetchedFile) -> None:
        self._of[name] = archive

    def __call__(self, path: str) -> Mapping[str, str]:
        name = path.removeprefix(self._tree)
        archive = self._of[name]
        member = "" if name == archive.name else f"#{name}"
        return {"source": f"{archive.address}{member}", "version": archive.sha256}


def fetch_and_unpack(
    files: Sequence[PinnedFile], selection: UnpackedSelection, work: Path
) -> Collection:
    """Files fetched, unpacked side by side, and what a selection means in there.

    Args:
        files: archives or pictures.
        selection: which files of them, and bounds.
        work: see `Source.bring`.

    Raises:
        UserError: one cannot be had or is refused, two hold one name, or the selection finds
            nothing.
    """
    archives = [file.bring() for file in files]
    try:
        collection = _unpacked(archives, selection, work)
    except DamagedError:
        for file in files:
            file.discard_unverified()
        raise

    def record() -> None:
        for file in files:
            file.record()

    return replace(collection, record=record)


def _unpacked(
    archives: Sequence[FetchedFile], selection: UnpackedSelection, work: Path
) -> Collection:
    """All archives in one tree.

    One that a killed run had finished is not unpacked again; another is begun anew.
    """
    tree, names = work / "tree", Names()
    tree.mkdir(parents=True, exist_ok=True)
    origins = _Origins(tree)
    for number, archive in enumerate(archives):
        done = work / f"{number}-{archive.sha256}.jsonl"
        if not done.exists():
            print(f"fetch: {archive.address}: unpacking", flush=True)
            bounds = Bounds(selection.most_files, selection.most_bytes)
            arrived = unpack(archive.path, tree, names, bounds, archive.address, archive.name)
            write_text(done, "".join(json.dumps({"name": name}) + "\n" for name in arrived))
            for name in arrived:
                origins.add(name, archive)
            continue
        for line in read_lines(done):
            names.add(line["name"])
            origins.add(line["name"], archive)
    return select(selection, tree, origins)
