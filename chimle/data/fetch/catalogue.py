"""Data sets by name: what `data/catalogue.yaml` says of them, and what is to be done by hand."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from chimle.errors import UserError
from chimle.settings.reading import read_yaml
from chimle.settings.settings_base import Settings
from chimle.settings.source import CatalogueSource, FolderSource, SourceSettings, UrlSource
from chimle.tasks import get_task

FILE = Path("data") / "catalogue.yaml"
"""Where the catalogue lies in a project."""


class Entry(Settings):
    """One data set."""

    title: str
    """What it is."""
    task: str
    """The task that it is meant for."""
    in_paper: bool
    """Whether the paper trained on it; otherwise it is a public stand-in."""
    about: str
    """Its publisher's page."""
    licence: str
    """What the publisher states, in short."""
    size: str
    """Of the download."""
    by_hand: str | None = None
    """What a person must do first to have the files that `source` names in the project."""
    source: Annotated[FolderSource | UrlSource, Field(discriminator="kind")]
    """What the name stands for."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Sections that belong beside it in `params.yaml`."""

    def missing(self, root: Path) -> list[str]:
        """Files of the project that `source` needs and that are not there."""
        if isinstance(self.source, FolderSource):
            needed = [self.source.path]
        else:
            addresses = [archive.address for archive in self.source.archives]
            needed = [address for address in addresses if "://" not in address]
            if self.source.listing:
                needed.append(self.source.listing.file)
        return [name for name in needed if not (root / name).exists()]


def read_catalogue(root: Path) -> dict[str, Entry]:
    """All data sets of a project's catalogue, by name.

    Raises:
        UserError: the file is missing or an entry is malformed.
    """
    entries = {}
    for name, content in read_yaml(root / FILE).items():
        try:
            entries[name] = Entry.model_validate(content)
            get_task(entries[name].task)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise UserError(f"{FILE}: {name}: `{field}`: {first['msg']}") from None
    return entries


def resolve(source: SourceSettings, root: Path) -> SourceSettings:
    """What a source stands for: itself, or the catalogue's entry.

    Raises:
        UserError: the catalogue has no such entry, or something must be done by hand first.
    """
    if not isinstance(source, CatalogueSource):
        return source
    entries = read_catalogue(root)
    if source.name not in entries:
        known = ", ".join(sorted(entries))
        raise UserError(f"`source.name`: {FILE} has no data set `{source.name}`: it has {known}")
    entry = entries[source.name]
    if missing := entry.missing(root):
        files = " and ".join(missing)
        steps = f"{entry.by_hand}, then put it there" if entry.by_hand else "put it there"
        raise UserError(
            f"`{source.name}` ({entry.title}; {entry.licence}; {entry.size}) needs {files}, which "
            f"is not there: {steps} and run again"
        )
    return entry.source
