"""Listing source: images whose addresses are in a CSV file."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from chimle.data.fetch.source_addresses import file_name, local_path
from chimle.data.fetch.sources.pinned import LocalFile, PinnedFile, RemoteFile
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.data.file_names import BadNameError, printable, safe_name
from chimle.errors import UserError
from chimle.io.csv_rows import opened_csv
from chimle.io.files import names_written, sha256_of
from chimle.io.http import HttpFile
from chimle.io.urls import plain
from chimle.settings.source import ListingSettings, UrlSource


def read_listing(listing: ListingSettings, root: Path) -> dict[str, str]:
    """Addresses by name, in the order of the file.

    Raises:
        UserError: the file is missing or no CSV, lacks a column, or a row is invalid.
    """
    path, found = root / listing.file, dict[str, str]()
    with opened_csv(path, "source.listing.file") as (table, rows):
        for column in (listing.name_column, listing.address_column):
            if column not in table.columns:
                known = ", ".join(table.columns)
                raise UserError(f"{path} has no column `{column}`: it has {known or 'none'}")
        for row in rows:
            name = PurePosixPath(row.get(listing.name_column, "").strip())
            address = row.get(listing.address_column, "").strip()
            stem = name.with_suffix("").as_posix() if name.name else ""
            if not stem or len(name.parts) != 1 or stem.startswith(".") or not address:
                raise UserError(f"{path}, line {table.line}: needs a plain name and an address")
            try:
                safe_name(stem)
            except BadNameError as error:
                raise UserError(
                    f"{path}, line {table.line}: {printable(stem)} {error}: rename it"
                ) from None
            if stem in found:
                raise UserError(f"{path}, line {table.line}: `{stem}` is there twice")
            found[stem] = address
    if not found:
        raise UserError(f"{path} lists no image")
    return found


class Listing:
    """The images of a list, each checked against its recorded checksum."""

    def __init__(self, settings: UrlSource, workspace: Workspace) -> None:
        assert settings.listing is not None
        self.settings, self.listing, self.workspace = settings, settings.listing, workspace

    def fingerprint(self) -> dict[str, Any]:
        """The hash of the list; its images are not requested."""
        read_listing(self.listing, self.workspace.root)
        return {"listing": sha256_of(self.workspace.root / self.listing.file)}

    def fetch(self, work: Path) -> Collection:
        """Download all of them."""
        tree, origins = work / "tree", dict[str, Mapping[str, str]]()
        tree.mkdir(parents=True, exist_ok=True)
        for name, address, file in self._files():
            fetched = file.fetch()
            file.record()
            ending = PurePosixPath(file_name(address)).suffix.lower()
            path = tree / f"{name}{ending}"
            path.unlink(missing_ok=True)
            try:
                path.symlink_to(fetched.path.resolve())
            except OSError:  # File systems of removable disks have no links.
                with names_written(path):
                    shutil.copyfile(fetched.path, path)
            origins[str(path)] = {"source": plain(address), "version": fetched.sha256}
        return select(self.settings, tree, origins.__getitem__)

    def forget(self) -> None:
        """Remove the recorded checksums of all images."""
        for _, _, file in self._files():
            file.forget()

    def _files(self) -> Iterator[tuple[str, str, PinnedFile]]:
        for name, address in read_listing(self.listing, self.workspace.root).items():
            path = local_path(address, self.workspace.root)
            if path is not None:
                yield name, address, LocalFile(address, path, None, self.workspace)
                continue
            remote = HttpFile(address, self.settings.timeout_seconds)
            limits = {"retries": self.settings.retries, "largest": self.settings.most_bytes}
            yield name, address, RemoteFile(remote, address, None, self.workspace, **limits)
