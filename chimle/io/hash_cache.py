"""SHA-256 of files, which are read again only where they have changed."""

import json
import re
from pathlib import Path

from chimle.io.file_locks import locked
from chimle.io.files import sha256_of, write_text

_SHA256 = re.compile("[0-9a-f]{64}")


def sha256_of_unchanged(path: Path, scratch: Path) -> str:
    """SHA-256 of a file, cached until its size, modification time or inode changes."""
    stat = path.stat()
    key = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}"
    notes = scratch / "hashes.json"
    with locked(scratch / "hashes.lock"):
        known = _read_hashes(notes)
        if key not in known:
            earlier = f"{path.resolve()}\0"
            others = {name: value for name, value in known.items() if not name.startswith(earlier)}
            known = {**others, key: sha256_of(path)}
            write_text(notes, json.dumps(known))
        return known[key]


def _read_hashes(notes: Path) -> dict[str, str]:
    """The cached hashes that are hashes; none where their file is missing or damaged."""
    try:
        found = json.loads(notes.read_text(encoding="utf-8"))
        return {name: value for name, value in found.items() if _SHA256.fullmatch(value)}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
