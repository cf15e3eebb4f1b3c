"""Versions of remote files: what a server states of a file without sending it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Version:
    """A file's version as a server states it without sending the file; None: not stated.

    Attributes:
        size: bytes.
        etag: entity tag, as it was sent.
        modified: time of last change, as it was sent.
        id: version id in a bucket that keeps versions.
    """

    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def is_identifiable(self) -> bool:
        """Whether any field would differ for another version."""
        return self != Version()

    def matches(self, other: "Version") -> bool:
        """Whether both can describe one file: by size and the strongest field that both have.

        A weak entity tag is compared like a strong one: it changes when the content does.
        """
        if None not in (self.size, other.size) and self.size != other.size:
            return False
        if self.etag and other.etag:
            return self.etag.removeprefix("W/") == other.etag.removeprefix("W/")
        if self.modified and other.modified:
            return self.modified == other.modified
        return True


@dataclass(frozen=True, slots=True)
class Known:
    """One recorded checksum.

    Attributes:
        sha256: of the file; of a bucket's prefix, over keys, sizes and ETags of its objects.
        version: detects a change without fetching.
    """

    sha256: str
    version: Version
