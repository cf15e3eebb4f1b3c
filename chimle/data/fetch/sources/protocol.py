"""What every source can do, and what it hands over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source.

    Attributes:
        name: relative name without ending, such as `train/001`; `/` separates folders.
        path: where it lies now.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Collection:
    """What a source has brought.

    Attributes:
        targets: target photographs, by name.
        inputs: matching inputs; empty where inputs are made by degrading.
        origin: of a path of this collection, what the record of its file says: at least `source`,
            the address that a person would recognise, and where there is one a `version` (an ETag,
            a version id, an archive's SHA-256).
        annotations: a text file about the photographs; None: there is none.
        record: to be called once everything has arrived well: what came for the first time is
            recorded and holds from then on.
    """

    targets: Sequence[SourceFile]
    inputs: Sequence[SourceFile]
    origin: Callable[[str], Mapping[str, str]]
    annotations: Path | None = None
    record: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Workspace:
    """Where a source may read and write.

    Attributes:
        root: the project; relative paths of a person start here.
        scratch: an ignored folder, kept between runs, for downloads and their parts.
    """

    root: Path
    scratch: Path

    @property
    def checksums(self) -> Path:
        """What files had as their SHA-256 when they were first fetched; kept in Git."""
        return self.root / "data" / "checksums.json"


class Source(Protocol):
    """A place that photographs come from. Constructing one touches nothing."""

    def fingerprint(self) -> dict[str, Any]:
        """What lies there at this moment, as little JSON: equal as long as nothing changes.

        Nothing is fetched for it but what tells versions apart.

        Raises:
            UserError: the source is not there, or is not what was recorded of it.
        """
        ...

    def bring(self, work: Path) -> Collection:
        """Bring everything.

        Args:
            work: a folder of this source alone, kept between runs until one succeeds; what an
                earlier, killed run left there is continued.

        Raises:
            UserError: it cannot be had, or is not what it should be.
        """
        ...

    def forget(self) -> None:
        """Forget what was recorded of it: what lies there now is what should.

        Raises:
            UserError: the record is damaged.
        """
        ...
