"""`python -m flows.disk`: what grows on this machine's disk, with sizes.

`trim`, a flow, removes what is old: `python -m flows trim`.
"""

import argparse
import itertools
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chimle.errors import guarded
from chimle.io.file_locks import is_held
from flows.git import git
from flows.own_files import OUTPUTS
from flows.revisions import RESULTS, project_root
from flows.worktrees import cache_folder

_UNITS = {"fetch": 2, "pair": 2, "train": 2, "features": 1}
"""How deep in a folder of `scratch/` the entries lie that stay or go as a whole; 1 elsewhere."""
_KEPT = ("work-trees", "locks", "folders")
"""Folders of `scratch/` that are never trimmed: they belong to running processes, or stay small."""
_SHOWN = "refs/remotes/chimle-results/"
_DAY = 86_400.0


@dataclass(frozen=True)
class Usage:
    """Something that grows.

    Attributes:
        name: what it is.
        size: in bytes.
        count: how many files, or revisions.
        trimmed_by: what removes of it what is old.
    """

    name: str
    size: int
    count: int
    trimmed_by: str

    def row(self) -> dict[str, str]:
        """As a row of a table."""
        size = f"{self.size / 2**20:,.1f} MiB"
        return {
            "what": self.name,
            "size": size,
            "count": f"{self.count:,}",
            "trimmed by": self.trimmed_by,
        }


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where it is gone."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(path: Path) -> Iterator[Path]:
    """The files under a path, itself if it is one; links are not followed.

    A folder that vanishes meanwhile, as those of runs do, holds none.
    """
    if path.is_dir() and not path.is_symlink():
        for entry in _entries(path):
            yield from _files(entry)
    elif path.is_symlink() or path.exists():
        yield path


def _measure(path: Path) -> tuple[int, int]:
    """Bytes and number of the files under a path; those that vanish meanwhile do not count."""
    size = count = 0
    for file in _files(path):
        try:
            size += file.lstat().st_size
        except FileNotFoundError:
            continue
        count += 1
    return size, count


def results(root: Path) -> dict[str, float]:
    """The references of kept results, each with the time of its commit."""
    form = "--format=%(refname) %(committerdate:unix)"
    lines = git(root, "for-each-ref", form, RESULTS).splitlines()
    return {name: float(when) for name, _, when in (line.partition(" ") for line in lines)}


def _results_size(root: Path) -> int:
    """Bytes of what Git holds for the kept results alone."""
    every = ("--branches", "--tags", "--remotes", "HEAD")
    listing = ("rev-list", "--disk-usage", "--objects", f"--glob={RESULTS}*", "--not", *every)
    return int(git(root, *listing) or 0)


def projects(root: Path) -> list[Path]:
    """A checkout's DVC projects: itself, and those in its folders with a cache of their own."""
    inner = (path.parent for path in root.glob("*/.dvc") if (path.parent / "dvc.yaml").exists())
    return [root, *sorted(inner)]


def caches(root: Path) -> dict[Path, list[Path]]:
    """DVC's caches of a checkout that exist, each with the projects that use it."""
    found: dict[Path, list[Path]] = {}
    for project in projects(root):
        found.setdefault(cache_folder(project).resolve(), []).append(project)
    return {cache: users for cache, users in found.items() if cache.is_dir()}


def _scratch(project: Path) -> list[Path]:
    """Entries of a project's `scratch/`."""
    return _entries(project / "scratch")


def list_usage(root: Path) -> list[Usage]:
    """What grows, with sizes."""
    found = []
    for cache, (first, *_) in caches(root).items():
        name = (first / ".dvc" / "cache").relative_to(root).as_posix()
        found.append(Usage(name, *_measure(cache), "cache"))
    kept = results(root)
    size = _results_size(root) if kept else 0
    found.append(Usage(RESULTS.rstrip("/"), size, len(kept), "results_days"))
    for project in projects(root):
        for entry in _scratch(project):
            by = "" if entry.name in _KEPT or entry.is_file() else "scratch_days"
            found.append(Usage(entry.relative_to(root).as_posix(), *_measure(entry), by))
        outputs = (folder for name in OUTPUTS if (folder := project / name).is_dir())
        found += [Usage(path.relative_to(root).as_posix(), *_measure(path), "") for path in outputs]
    found.append(Usage(".prefect", *_measure(root / ".prefect"), "runs_days"))
    return found


def _at_depth(folder: Path, depth: int) -> Iterator[Path]:
    for entry in _entries(folder):
        if depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from _at_depth(entry, depth - 1)
        else:
            yield entry


def _newest(path: Path) -> float:
    """When something under a path was last written; now, where something vanishes meanwhile."""
    try:
        return max((file.lstat().st_mtime for file in _files(path)), default=path.lstat().st_mtime)
    except FileNotFoundError:
        return time.time()


def _in_use(unit: Path, held: Collection[Path]) -> bool:
    """Whether a lock is in an entry of `scratch/`, of a download beside it, or of its task's data.

    Args:
        unit: the entry.
        held: the lock files that processes hold.
    """
    task, kind = unit.parent.name, unit.parent.parent.name
    data = f"{task}-data.lock" if kind in ("fetch", "pair") else ""
    return any(
        file.is_relative_to(unit)
        or (file.parent == unit.parent and unit.name.startswith(file.stem))
        or (file.parent.name == "locks" and file.name == data)
        for file in held
    )


def old_scratch(root: Path, days: float) -> list[Path]:
    """States, downloads and unfinished work that nothing has been written to for so many days, and
    that no process has locked, such as a training that was started by hand."""
    before, found = time.time() - days * _DAY, list[Path]()
    for folder in (entry for project in projects(root) for entry in _scratch(project)):
        if folder.name in _KEPT or not folder.is_dir() or folder.is_symlink():
            continue
        units = _at_depth(folder, _UNITS.get(folder.name, 1))
        old = [unit for unit in sorted(units) if _newest(unit) < before]
        locks = (place.rglob("*.lock") for place in (folder, folder.parent / "locks") if old)
        held = [file for file in itertools.chain(*locks) if is_held(file)]
        found += [unit for unit in old if not _in_use(unit, held)]
    return found


def trim_scratch(root: Path, days: float) -> int:
    """Remove `old_scratch`; returns the number of bytes."""
    freed = 0
    for unit in old_scratch(root, days):
        freed += _measure(unit)[0]
        if unit.is_dir() and not unit.is_symlink():
            shutil.rmtree(unit)
        else:
            unit.unlink(missing_ok=True)
    return freed


def old_results(root: Path, days: float) -> list[str]:
    """References of results that are older than so many days."""
    before = time.time() - days * _DAY
    return [name for name, when in results(root).items() if when < before]


def trim_results(root: Path, days: float) -> int:
    """Remove `old_results`; returns their number. A branch that they were committed to stays."""
    old = old_results(root, days)
    for name in old:
        git(root, "update-ref", "-d", name)
    return len(old)


@contextmanager
def results_as_branches(root: Path) -> Iterator[None]:
    """Show DVC the kept results: `dvc gc --all-commits` looks at branches and tags alone."""
    _hide(root)
    try:
        for name in results(root):
            git(root, "update-ref", _SHOWN + name.removeprefix(RESULTS), name)
        yield
    finally:
        _hide(root)


def _hide(root: Path) -> None:
    for name in git(root, "for-each-ref", "--format=%(refname)", _SHOWN).splitlines():
        git(root, "update-ref", "-d", name)


def main() -> None:
    """Print the table."""
    rows = [usage.row() for usage in list_usage(project_root())]
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    for row in ({key: key for key in rows[0]}, *rows):
        name, size, count, by = (row[key].ljust(widths[key]) for key in widths)
        print(f"{name}  {size.strip():>{widths['size']}}  {count.strip():>6}  {by}".rstrip())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    guarded(main)
