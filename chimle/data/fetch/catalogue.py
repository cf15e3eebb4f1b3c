"""The catalogue of data sets, `data/catalogue.yaml`: names, sources and manual steps."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from chimle.errors import UserError
from chimle.settings.reading import build_settings, project_path, read_yaml
from chimle.settings.settings_base import Settings
from chimle.settings.shown_values import named
from chimle.settings.source import CatalogueSource, FolderSource, SourceSettings, UrlSource
from chimle.tasks import get_task

FILE = Path("data") / "catalogue.yaml"
"""Path of the catalogue in a project, or in the one around it."""


class Entry(Settings):
    """One data set."""

    title: str
    """What it is."""
    task: str
    """The task that it is for."""
    in_paper: bool
    """Whether the paper trained on it; otherwise it is a public substitute."""
    about: str
    """Its publisher's page."""
    license: str
    """The publisher's license, in short."""
    size: str
    """Size of the download."""
    by_hand: str | None = None
    """Manual steps that bring the files of `source` into the project."""
    source: Annotated[FolderSource | UrlSource, Field(discriminator="kind")]
    """The source that the name stands for."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Recommended sections beside it in `params.yaml`."""

    def missing(self, root: Path) -> list[str]:
        """Missing files of the project that `source` needs."""
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
    for key, content in read_yaml(project_path(root, str(FILE))).items():
        name = named(key)
        origin = f"{FILE}: {name}"
        entries[name] = build_settings(Entry, content, origin)
        try:
            get_task(entries[name].task)
        except UserError as error:
            raise UserError(f"{origin}: `task`: {error}") from None
    return entries


def resolve(source: SourceSettings, root: Path) -> SourceSettings:
    """The source itself, or the catalogue entry that it names.

    Raises:
        UserError: the catalogue has no such entry, or a manual step is missing.
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
            f"`{source.name}` ({entry.title}; {entry.license}; {entry.size}) needs {files}, which "
            f"is not there: {steps} and run again"
        )
    return entry.source
