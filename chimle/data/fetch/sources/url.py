"""URL source: archives or single images at addresses."""

from pathlib import Path
from typing import Any

from chimle.data.fetch.source_addresses import checksum_key, local_path
from chimle.data.fetch.sources.pinned import LocalFile, PinnedFile, RemoteFile, fetch_and_unpack
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.io.http import HttpFile
from chimle.settings.source import ArchiveSettings, UrlSource


class Url:
    """Files at `https://`, `http://`, `file://` or a path, extracted into one folder."""

    def __init__(self, settings: UrlSource, workspace: Workspace) -> None:
        self.settings, self.workspace = settings, workspace

    def fingerprint(self) -> dict[str, Any]:
        """The version of each archive."""
        return {
            checksum_key(archive.address): self._file(archive).fingerprint()
            for archive in self.settings.archives
        }

    def fetch(self, work: Path) -> Collection:
        """Download, check and extract all archives."""
        files = [self._file(archive) for archive in self.settings.archives]
        return fetch_and_unpack(files, self.settings, work)

    def forget(self) -> None:
        """Remove the recorded checksums of all archives."""
        for archive in self.settings.archives:
            self._file(archive).forget()

    def _file(self, archive: ArchiveSettings) -> PinnedFile:
        field, path = "`source.archives`", local_path(archive.address, self.workspace.root)
        if path is not None:
            return LocalFile(archive.address, path, archive.sha256, self.workspace, field)
        return RemoteFile(
            HttpFile(archive.address, self.settings.timeout_seconds, field),
            archive.address,
            archive.sha256,
            self.workspace,
            retries=self.settings.retries,
            largest=self.settings.most_bytes,
        )
