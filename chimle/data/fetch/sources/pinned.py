"""Files checked against their recorded or given checksums, local or remote."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from chimle.data.fetch.archives import DamagedError, unpack
from chimle.data.fetch.checksums import ChecksumStore
from chimle.data.fetch.source_addresses import checksum_key, download_name, file_name
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.data.fetch.unpacking import Limits
from chimle.data.file_names import Names
from chimle.errors import TransientError, UserError
from chimle.io.download import Download, DownloadSpec, Remote, retry
from chimle.io.files import write_text
from chimle.io.hash_cache import sha256_of_unchanged
from chimle.io.journal import read_lines
from chimle.io.urls import plain
from chimle.io.versions import Known, Version
from chimle.settings.source import UnpackedSelection

ACCEPT_HINT = "run `python -m stages.check TASK --accept` to take what is there now"
"""How a user accepts a change."""
PIN_HINT = "or name its `sha256`, which is then all that counts"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A fetched file.

    Attributes:
        path: of the local copy.
        address: without secrets.
        sha256: of its content.
        name: the last component of its address.
    """

    path: Path
    address: str
    sha256: str
    name: str


class PinnedFile(Protocol):
    """A file with a version that can be fetched and whose record can be removed."""

    def fingerprint(self) -> dict[str, Any]:
        """What distinguishes its versions; see `Source.fingerprint`."""
        ...

    def fetch(self) -> FetchedFile:
        """The file, fetched and checked; raises as `Source.fetch`."""
        ...

    def record(self) -> None:
        """Record the fetched file if it has no record yet."""
        ...

    def discard_unverified(self) -> None:
        """Discard a fetched file that proved damaged, unless a checksum confirms it."""
        ...

    def forget(self) -> None:
        """Remove its record."""
        ...


def warn_unreachable(address: str, error: TransientError) -> None:
    """Warn that a source cannot be reached and is assumed unchanged."""
    print(
        f"warning: {address} cannot be reached ({error}): its recorded version is assumed",
        file=sys.stderr,
    )


class LocalFile:
    """A local file, used in place."""

    def __init__(
        self, address: str, path: Path, sha256: str | None, workspace: Workspace, field: str
    ) -> None:
        self.address, self.path, self.sha256, self.workspace = address, path, sha256, workspace
        self.field = field
        self.key, self.checksums = (
            checksum_key(address),
            ChecksumStore(workspace.checksums, workspace.scratch),
        )

    def fingerprint(self) -> dict[str, Any]:
        """Its SHA-256, cached until the file changes."""
        return {"sha256": self.sha256 or self._checked()}

    def fetch(self) -> FetchedFile:
        """The file in place, checked."""
        return FetchedFile(self.path, plain(self.address), self._checked(), self.path.name)

    def record(self) -> None:
        """Record its SHA-256."""
        if not self.sha256:
            known = Known(self._checked(), Version(self.path.stat().st_size))
            self.checksums.record(self.key, known)

    def discard_unverified(self) -> None:
        """Nothing: the file belongs to the user."""

    def forget(self) -> None:
        """Remove its recorded SHA-256."""
        self.checksums.forget([self.key])

    def _checked(self) -> str:
        if not self.path.is_file():
            what = "is a folder: use `kind: folder`" if self.path.is_dir() else "does not exist"
            raise UserError(f"{self.field}: {self.path} {what}")
        found = sha256_of_unchanged(self.path, self.workspace.scratch)
        if self.sha256:
            if found != self.sha256:
                raise UserError(
                    f"{self.path} has SHA-256 {found}, not the {self.sha256} of its "
                    "`sha256` in `source`: fix one of them"
                )
            return found
        known = self.checksums.get(self.key)
        if known and known.sha256 != found:
            raise UserError(f"{self.path} has changed since it was first used: {ACCEPT_HINT}")
        return found


class RemoteFile:
    """A remote file."""

    def __init__(
        self,
        remote: Remote,
        address: str,
        sha256: str | None,
        workspace: Workspace,
        *,
        retries: int,
        largest: int,
    ) -> None:
        self.remote, self.address, self.sha256 = remote, address, sha256
        self.key, self.checksums = (
            checksum_key(address),
            ChecksumStore(workspace.checksums, workspace.scratch),
        )
        self.retries, self.largest = retries, largest
        path = workspace.scratch / "downloads" / download_name(address)
        self.download = Download(remote, path, retries)
        self._new: Known | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Its SHA-256 where settings give it, otherwise its version on the server.

        The recorded version is returned as long as the server's matches it.
        """
        if self.sha256:
            return {"sha256": self.sha256}
        known = self.checksums.get(self.key)
        if known is None:
            return self._probe(self.retries).to_json()
        try:
            self._unchanged(known, self.remote.probe())
        except TransientError as error:
            warn_unreachable(self.remote.name, error)
        return known.version.to_json()

    def fetch(self) -> FetchedFile:
        """The file, downloaded unless it is there already."""
        known = self.checksums.get(self.key)
        if self.sha256:
            spec = DownloadSpec(
                self.sha256, "its `sha256` in `source` names", Version(), self.largest
            )
            found = self.download.fetch(spec)
        elif known:
            stated_by = f"{self.checksums.path} recorded: {ACCEPT_HINT}"
            found = self.download.fetch(
                DownloadSpec(known.sha256, stated_by, known.version, self.largest)
            )
        else:
            found = self._first()
        name = file_name(self.address)
        return FetchedFile(self.download.path, self.remote.name, found.sha256, name)

    def record(self) -> None:
        """Record its SHA-256 and version, if it was fetched for the first time."""
        if self._new:
            self.checksums.record(self.key, self._new)

    def discard_unverified(self) -> None:
        """Remove a file fetched for the first time: the next run fetches it again."""
        if self._new:
            self.download.forget()

    def forget(self) -> None:
        """Remove its record and what has been downloaded."""
        self.checksums.forget([self.key])
        self.download.forget()

    def _first(self) -> Known:
        """Fetch it for the first time."""
        before = self._probe(self.retries)
        found = self.download.fetch(DownloadSpec(None, "", before, self.largest))
        if not found.version.matches(before):
            self.download.forget()
            raise UserError(
                f"{self.remote.name} became another file while it was fetched: "
                f"run again, {PIN_HINT}"
            )
        # The probed version, not the response's: the next probe is compared with it.
        self._new = Known(found.sha256, before)
        return found

    def _probe(self, retries: int) -> Version:
        return retry(self.remote.name, retries, self.remote.probe)

    def _unchanged(self, known: Known, now: Version) -> None:
        if not now.matches(known.version):
            raise UserError(
                f"{self.remote.name} has changed since it was first fetched: "
                f"{ACCEPT_HINT}, {PIN_HINT}"
            )


class _Origins:
    """Maps a path of the tree to the archive that it came from."""

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
    """Fetch files, extract them into one folder, and select from it.

    Args:
        files: archives or images.
        selection: patterns, and limits of the extraction.
        work: see `Source.fetch`.

    Raises:
        UserError: one cannot be fetched or is refused, two hold the same name, or the selection
            is empty.
    """
    archives = [file.fetch() for file in files]
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
    """Extract all archives into one folder.

    One that a killed run has finished is not extracted again; an unfinished one is restarted.
    """
    tree, names = work / "tree", Names()
    tree.mkdir(parents=True, exist_ok=True)
    origins = _Origins(tree)
    for number, archive in enumerate(archives):
        done = work / f"{number}-{archive.sha256}.jsonl"
        if not done.exists():
            print(f"fetch: {archive.address}: unpacking", flush=True)
            limits = Limits(selection.most_files, selection.most_bytes)
            names_in = unpack(archive.path, tree, names, limits, archive.address, archive.name)
            write_text(done, "".join(json.dumps({"name": name}) + "\n" for name in names_in))
            for name in names_in:
                origins.add(name, archive)
            continue
        for line in read_lines(done):
            names.add(line["name"])
            origins.add(line["name"], archive)
    return select(selection, tree, origins)
