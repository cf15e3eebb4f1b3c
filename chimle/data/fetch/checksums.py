"""Checksums of fetched files, recorded in `data/checksums.json`, which is kept in Git.

As with a package manager's lock file, the first fetch records a hash, later ones are checked.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chimle.errors import UserError
from chimle.io.file_locks import locked
from chimle.io.files import write_text
from chimle.io.versions import Known, Version

_SHA256 = re.compile("[0-9a-f]{64}")


class ChecksumStore:
    """The file of recorded checksums."""

    def __init__(self, path: Path, scratch: Path) -> None:
        """A store at a path; nothing is read yet.

        Args:
            path: may be missing.
            scratch: an ignored folder, for a lock.
        """
        self.path, self._lock = path, scratch / "checksums.lock"

    def get(self, address: str) -> Known | None:
        """The record of an address.

        Raises:
            UserError: the file is damaged.
        """
        entry = self._read().get(address)
        if entry is None:
            return None
        try:
            if not _SHA256.fullmatch(entry["sha256"]):
                raise ValueError
            return Known(entry["sha256"], _version(entry))
        except (KeyError, TypeError, ValueError):
            raise self._damaged(f"the entry of {address}") from None

    def record(self, address: str, known: Known) -> None:
        """Add or replace a record; `UserError` as in `get`."""
        self._change({address: {"sha256": known.sha256, **known.version.to_json()}}, ())

    def forget(self, addresses: Iterable[str]) -> None:
        """Remove records; `UserError` as in `get`."""
        self._change({}, addresses)

    def _change(self, added: dict[str, Any], removed: Iterable[str]) -> None:
        with locked(self._lock):
            before = self._read()
            gone = set(removed)
            after = {key: value for key, value in before.items() if key not in gone} | added
            if after != before:
                write_text(self.path, json.dumps(after, indent=1, sort_keys=True) + "\n")

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise self._damaged(" ".join(str(error).split())) from None
        if not isinstance(content, dict):
            raise self._damaged("it holds no mapping of addresses")
        return content

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.path} is damaged ({what}): fix it or take it back from Git")


def _version(entry: dict[str, Any]) -> Version:
    """The version in an entry; `ValueError` if a field has a wrong type."""
    texts = [entry.get(name) for name in ("etag", "modified", "id")]
    size = entry.get("size")
    good = all(text is None or isinstance(text, str) for text in texts)
    if not good or not (size is None or type(size) is int):
        raise ValueError
    return Version(size, *texts)
