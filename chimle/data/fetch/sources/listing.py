"""Listing source: images whose addresses are in a CSV file."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chimle.data.fetch.source_addresses import file_name, local_path
from chimle.data.fetch.sources.pinned import FetchedFile, LocalFile, PinnedFile, RemoteFile
from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.data.file_names import BadNameError, Names, printable, safe_name
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES
from chimle.images.formats import RAW_EXTENSIONS, extension_of, extension_of_content
from chimle.io.csv_rows import opened_csv
from chimle.io.files import names_written, sha256_of
from chimle.io.http import HttpFile
from chimle.io.urls import plain
from chimle.settings.source import ListingSettings, UrlSource

MOST_FAILURES = 5
"""After so many images that cannot be fetched, the rest of a list is not tried."""


def read_listing(listing: ListingSettings, root: Path) -> dict[str, str]:
    """Addresses by name, in the order of the file.

    Raises:
        UserError: the file is missing or no CSV, lacks a column, or a row is invalid.
    """
    path, found, names = root / listing.file, dict[str, str](), Names()
    with opened_csv(path, "source.listing.file") as (table, rows):
        for column in (listing.name_column, listing.address_column):
            if column not in table.columns:
                known = ", ".join(table.columns)
                raise UserError(f"{path} has no column `{column}`: it has {known or 'none'}")
        for row in rows:
            stem = _without_extension(row.get(listing.name_column, "").strip())
            address = row.get(listing.address_column, "").strip()
            if not stem or "/" in stem or stem.startswith(".") or not address:
                raise UserError(f"{path}, line {table.line}: needs a plain name and an address")
            if stem in found:
                raise UserError(f"{path}, line {table.line}: `{stem}` is there twice")
            try:
                names.add(safe_name(stem))
            except BadNameError as error:
                raise UserError(
                    f"{path}, line {table.line}: {printable(stem)} {error}: rename it"
                ) from None
            found[stem] = address
    if not found:
        raise UserError(f"{path} lists no image")
    return found


def _without_extension(name: str) -> str:
    """A name without the extension of an image; what else is behind a dot belongs to the name."""
    extension = extension_of(name)
    return name[: -len(extension)] if extension in SUFFIXES | RAW_EXTENSIONS else name


def _extension(address: str, path: Path) -> str:
    """The extension of a fetched image: its address's, or else its content's."""
    named = extension_of(file_name(address))
    if named in SUFFIXES | RAW_EXTENSIONS:
        return named
    return extension_of_content(path) or named


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
        """Download all of them; what could be fetched is kept when others could not."""
        tree, origins = work / "tree", dict[str, Mapping[str, str]]()
        shutil.rmtree(tree, ignore_errors=True)  # Links of a run that was killed.
        tree.mkdir(parents=True)
        files = []
        for name, address, file, fetched in self._fetched():
            files.append(file)
            path = tree / f"{name}{_extension(address, fetched.path)}"
            try:
                path.symlink_to(fetched.path.resolve())
            except OSError:  # File systems of removable disks have no links.
                with names_written(path):
                    shutil.copyfile(fetched.path, path)
            origins[str(path)] = {"source": plain(address), "version": fetched.sha256}

        def record() -> None:  # Once all of them are images: a server may send a page instead.
            for file in files:
                file.record()

        return replace(select(self.settings, tree, origins.__getitem__), record=record)

    def _fetched(self) -> Iterator[tuple[str, str, PinnedFile, FetchedFile]]:
        """Every image, fetched; raises in the end, and then names all that could not be."""
        failures = list[str]()
        for name, address, file in self._files():
            try:
                fetched = file.fetch()
            except UserError as error:
                failures.append(str(error))
                if len(failures) == MOST_FAILURES:
                    break
            else:
                yield name, address, file, fetched
        if len(failures) == 1:
            raise UserError(failures[0])
        if failures:
            least = "at least " if len(failures) == MOST_FAILURES else ""
            raise UserError(
                f"{least}{len(failures)} images of {self.listing.file} cannot be fetched, what can "
                f"be is kept: {'; '.join(failures)}"
            )

    def forget(self) -> None:
        """Remove the recorded checksums of all images."""
        for _, _, file in self._files():
            file.forget()

    def _files(self) -> Iterator[tuple[str, str, PinnedFile]]:
        field = f"`{self.listing.address_column}` of {self.listing.file}"
        for name, address in read_listing(self.listing, self.workspace.root).items():
            path = local_path(address, self.workspace.root)
            if path is not None:
                yield name, address, LocalFile(address, path, None, self.workspace, field)
                continue
            remote = HttpFile(address, self.settings.timeout_seconds, field)
            limits = {"retries": self.settings.retries, "largest": self.settings.most_bytes}
            yield name, address, RemoteFile(remote, address, None, self.workspace, **limits)
