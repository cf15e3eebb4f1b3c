"""Folder source: a directory of the user's own images."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from chimle.data.fetch.sources.protocol import Collection, Workspace
from chimle.data.fetch.sources.selection import select
from chimle.io.files import sha256_of, write_text
from chimle.io.patterns import fixed_start
from chimle.settings.source import FolderSource

_WRITTEN = ("data/raw", "data/pairs", "data/contact", "models", "galleries", "report", "scratch")
"""Folders of a project that the pipeline fills; they are no source, unless `path` names them."""


class Folder:
    """Images in a local folder; they are copied, never moved."""

    def __init__(self, settings: FolderSource, workspace: Workspace) -> None:
        self.settings, self.workspace = settings, workspace
        named = (settings.path, settings.inputs)
        self._absolute = [fixed_start(name) for name in named if name and Path(name).is_absolute()]

    def _collection(self) -> Collection:
        root = self.workspace.root
        return select(self.settings, root, self._origin, [root / name for name in _WRITTEN])

    def _origin(self, path: str) -> Mapping[str, str]:
        """Where an image is from: an absolute path where the settings have one.

        So it is the same in every work tree, and where the project is moved.
        """
        if any(PurePath(path).is_relative_to(start) for start in self._absolute):
            return {"source": PurePath(path).as_posix()}
        return {"source": Path(os.path.relpath(path, self.workspace.root)).as_posix()}

    def _files(self, collection: Collection) -> Iterator[str]:
        for photo in (*collection.targets, *collection.inputs):
            yield photo.path
        if collection.annotations:
            yield str(collection.annotations)

    def fingerprint(self) -> dict[str, Any]:
        """Number of files, and a hash over names and contents.

        Contents are read again only if a name, size or modification time has changed.
        """
        collection = self._collection()
        stats, count = hashlib.sha256(), 0
        for path in self._files(collection):
            stat = Path(path).stat()
            named = f"{path}\0{self._origin(path)['source']}"
            stats.update(os.fsencode(f"{named}\0{stat.st_size}\0{stat.st_mtime_ns}\0"))
            count += 1
        name = hashlib.sha256(self.settings.model_dump_json().encode()).hexdigest()[:16]
        known = self.workspace.scratch / "folders" / f"{name}.json"
        try:
            cached = json.loads(known.read_text(encoding="utf-8"))
            if cached["stats"] == stats.hexdigest():
                return {
                    "files": int(cached["now"]["files"]),
                    "sha256": str(cached["now"]["sha256"]),
                }
        except (OSError, ValueError, LookupError, TypeError):
            pass  # It is not there, or damaged: contents are read.
        contents = hashlib.sha256()
        for path in self._files(collection):
            contents.update(f"{self._origin(path)['source']}\0{sha256_of(Path(path))}\0".encode())
        now = {"files": count, "sha256": contents.hexdigest()}
        write_text(known, json.dumps({"stats": stats.hexdigest(), "now": now}))
        return now

    def fetch(self, work: Path) -> Collection:
        """The files in place."""
        del work  # Nothing is copied.
        return self._collection()

    def forget(self) -> None:
        """Nothing is recorded."""
