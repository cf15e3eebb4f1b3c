"""Where a result comes from, in hashes that two machines agree on."""

import hashlib
import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from chimle.io.git_environment import without_repository
from chimle.io.import_closure import ROOT, import_closure


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def code_version(program: Path) -> str:
    """SHA-256 over the files that a program imports: names what ran, committed or not.

    Args:
        program: the program's source file.
    """
    state = hashlib.sha256()
    for name in import_closure(program):
        state.update(f"{name}\0".encode() + (ROOT / name).read_bytes())
    return state.hexdigest()


@cache
def running_code(program: Path) -> str:
    """`code_version` of what this process runs: files that change later are not read again."""
    return code_version(program)


def commit(program: Path) -> str:
    """The last commit that changed the code of `code_version`, `+changes` behind it if more is not
    committed; `unknown` outside a Git checkout, in one that Git does not trust (another owner's),
    and where a shallow clone does not hold that commit.

    Other commits do not count: settings have a hash of their own, and a task must give the same
    bytes when another task's parameters were changed.
    """
    names = import_closure(program)

    try:
        last = _git("log", "-1", "--no-show-signature", "--format=%H", "--", *names)
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *names)
        shallow = ROOT / _git("rev-parse", "--git-path", "shallow")
        # A shallow clone ends at these commits, which seem to add every file.
        ends = shallow.read_text().split() if shallow.is_file() else []
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ("unknown" if not last or last in ends else last) + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    environment = without_repository(os.environ)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
