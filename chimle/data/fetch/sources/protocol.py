"""The interface of sources, and the collection of files that a source returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chimle.images.walk import LeftOut


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source.

    Attributes:
        name: relative name without extension, such as `train/001`; `/` separates folders.
        path: local path.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Collection:
    """The fetched files of a source.

    Attributes:
        targets: target images, by name.
        inputs: matching inputs; empty where inputs are made by degrading.
        origin: maps a path of the collection to provenance fields: `source`, an address that the
            user recognises, and where known `version` (an ETag, a version id, an archive's
            SHA-256).
        annotations: a text file about the images; None: there is none.
        record: to be called when everything is fetched: records checksums of files that have none.
        left_out: files that are no images to fetch, by their path below the source's folder, with
            reasons.
    """

    targets: Sequence[SourceFile]
    inputs: Sequence[SourceFile]
    origin: Callable[[str], Mapping[str, str]]
    annotations: Path | None = None
    record: Callable[[], None] = lambda: None
    left_out: Sequence[LeftOut] = ()


@dataclass(frozen=True)
class Workspace:
    """Folders that a source may use.

    Attributes:
        root: the project; relative paths in settings start here.
        scratch: an ignored folder, kept between runs, for downloads.
    """

    root: Path
    scratch: Path

    @property
    def checksums(self) -> Path:
        """The file of recorded checksums; kept in Git."""
        return self.root / "data" / "checksums.json"


class Source(Protocol):
    """A source of images. Constructing one reads nothing."""

    def fingerprint(self) -> dict[str, Any]:
        """The current version as a small JSON object: equal as long as nothing changes.

        Only what distinguishes versions is requested.

        Raises:
            UserError: the source is missing, or differs from its record.
        """
        ...

    def fetch(self, work: Path) -> Collection:
        """Fetch everything.

        Args:
            work: a folder for this source alone, kept until a run succeeds; the files of a killed
                run are continued.

        Raises:
            UserError: it cannot be fetched, or differs from its record.
        """
        ...

    def forget(self) -> None:
        """Remove its records: the current version becomes the expected one.

        Raises:
            UserError: the record is damaged.
        """
        ...
