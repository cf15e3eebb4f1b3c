"""A directory of a person's own photographs."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.io.files import sha256_of, write_text
from chimle.settings.source import FolderSource


class Folder:
    """Photographs that lie in the project's surroundings; they are copied, never moved."""

    def __init__(self, settings: FolderSource, place: Workspace) -> None:
        self.settings, self.place = settings, place

    def _collection(self) -> Collection:
        return select(self.settings, self.place.root, self._origin)

    def _origin(self, path: str) -> Mapping[str, str]:
        return {"source": Path(os.path.relpath(path, self.place.root)).as_posix()}

    def _files(self, collection: Collection) -> Iterator[str]:
        for photo in (*collection.targets, *collection.inputs):
            yield photo.path
        if collection.annotations:
            yield str(collection.annotations)

    def fingerprint(self) -> dict[str, Any]:
        """Count and hash over names and contents.

        Contents are read again only after a name, a size or a time of change is another one.
        """
        collection = self._collection()
        stats, count = hashlib.sha256(), 0
        for path in self._files(collection):
            stat = Path(path).stat()
            stats.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
            count += 1
        name = hashlib.sha256(self.settings.model_dump_json().encode()).hexdigest()[:16]
        known = self.place.scratch / "folders" / f"{name}.json"
        if known.exists():
            kept = json.loads(known.read_text(encoding="utf-8"))
            if kept["stats"] == stats.hexdigest():
                return kept["now"]
        contents = hashlib.sha256()
        for path in self._files(collection):
            contents.update(f"{self._origin(path)['source']}\0{sha256_of(Path(path))}\0".encode())
        now = {"files": count, "sha256": contents.hexdigest()}
        write_text(known, json.dumps({"stats": stats.hexdigest(), "now": now}))
        return now

    def bring(self, work: Path) -> Collection:
        """They are here already."""
        return self._collection()

    def forget(self) -> None:
        """Nothing is recorded of it."""
