"""Archives or single pictures behind addresses."""

from pathlib import Path
from typing import Any

from chimle.data.fetch.http import HttpFile
from chimle.data.fetch.source_addresses import checksum_key, local_path
from chimle.data.fetch.sources.pinned import LocalFile, PinnedFile, RemoteFile, fetch_and_unpack
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.settings.source import ArchiveSettings, UrlSource


class Url:
    """What lies behind `https://`, `http://`, `file://` or a path, unpacked side by side."""

    def __init__(self, settings: UrlSource, place: Workspace) -> None:
        self.settings, self.place = settings, place

    def fingerprint(self) -> dict[str, Any]:
        """Per archive, what tells its versions apart."""
        return {
            checksum_key(archive.address): self._kept(archive).fingerprint()
            for archive in self.settings.archives
        }

    def bring(self, work: Path) -> Collection:
        """Download, check and unpack all of them."""
        files = [self._kept(archive) for archive in self.settings.archives]
        return fetch_and_unpack(files, self.settings, work)

    def forget(self) -> None:
        """Take what lies there now for what should."""
        for archive in self.settings.archives:
            self._kept(archive).forget()

    def _kept(self, archive: ArchiveSettings) -> PinnedFile:
        path = local_path(archive.address, self.place.root)
        if path is not None:
            return LocalFile(archive.address, path, archive.sha256, self.place)
        return RemoteFile(
            HttpFile(archive.address, self.settings.timeout_seconds),
            archive.address,
            archive.sha256,
            self.place,
            retries=self.settings.retries,
            largest=self.settings.most_bytes,
        )
