"""Where a result comes from, in hashes that two machines agree on."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from chimle.settings import RunSettings

_PACKAGE = Path(__file__).resolve().parent
_PRODUCERS = (_PACKAGE, _PACKAGE.parent / "stages")
_SHOWS_ONLY = (
    "chimle/report",
    "chimle/images/contact_sheet.py",
    "chimle/bundles",
    "chimle/cli",
    "chimle/inference",
    "chimle/__main__.py",
    "stages/summary.py",
)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def code_version() -> str:
    """SHA-256 over the library's and stages' sources: names what ran, committed or not.

    Files that only show results do not count: they change no number.
    """
    state = hashlib.sha256()
    for folder in _PRODUCERS:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder.parent).as_posix()
            if not name.startswith(_SHOWS_ONLY):
                state.update(f"{name}\0".encode() + path.read_bytes())
    return state.hexdigest()


def commit() -> str:
    """The last commit that changed the code of `code_version`, `+changes` behind it if more is not
    committed; `unknown` outside a Git checkout.

    Commits of documentation, results and parameters do not count: settings have a hash of their
    own, and a task must give the same bytes when another task's parameters were changed.
    """
    names = ["chimle", "stages", *(f":!{name}" for name in _SHOWS_ONLY)]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments, "--", *names],
            cwd=_PACKAGE.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        last = git("log", "-1", "--format=%H")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (last or "unknown") + ("+changes" if changed else "")


def settings_hash(settings: RunSettings) -> str:
    """SHA-256 of all settings of a run."""
    return digest(settings.model_dump(mode="json"))
