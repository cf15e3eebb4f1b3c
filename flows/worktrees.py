"""Git work trees that share one DVC cache: one for each task of a run.

DVC locks a work tree while it runs, so two trainings in one tree would wait for each other. A tree
belongs to the process that holds the lock of its `.lock` file; a tree whose lock is free is
orphaned, and the next process removes it. The user's checkout is never changed.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from configobj import ConfigObj, ConfigObjError
from dvc.config import Config, ConfigError

from chimle.errors import TransientError, UserError
from chimle.io.dvc_config import checked_value
from chimle.io.file_locks import locked
from chimle.provenance import digest
from flows.command import environment
from flows.git import find_commit, git
from flows.own_files import as_mapping, link_own_files, read_or_empty

_FOLDER = Path("scratch") / "work-trees"
_SHARED = (Path("scratch") / "train", Path("scratch") / "downloads")
"""Resume states and downloads: shared by all trees, since both are keyed by their inputs."""


@dataclass(frozen=True)
class WorkTree:
    """A work tree to run DVC in.

    Attributes:
        path: its directory.
        lock: descriptor whose lock marks the tree as used; a command that runs in the tree holds
            it too, so that the tree is not removed while it runs.
    """

    path: Path
    lock: int


def ask_dvc(folder: Path, *arguments: str) -> str:
    """Standard output of a short DVC command.

    Raises:
        UserError: DVC failed; with its message.
    """
    done = subprocess.run(
        ["dvc", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"dvc {arguments[0]} in {folder}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


@contextmanager
def _list_locked(root: Path, say: Callable[[str], None] = lambda _line: None) -> Iterator[None]:
    """Lock of Git's list of work trees."""
    message = "another run makes a work tree or trims the disk: waiting for it"
    with locked(root / _FOLDER / ".lock", on_wait=lambda: say(message)):
        yield


@contextmanager
def no_run(root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep runs from beginning while the block lasts.

    Raises:
        TransientError: runs have work trees, whose results DVC does not know yet.
    """
    with _list_locked(root, say):
        used = []
        for file in sorted((root / _FOLDER).glob("?*.lock")):
            with locked(file, wait=False) as lock:
                if lock is None:
                    used.append(file.stem)
        if used:
            raise TransientError(f"other runs use DVC's cache: {', '.join(used)}")
        yield


def _remove(root: Path, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    git(root, "worktree", "prune")
    tree.with_suffix(".lock").unlink(missing_ok=True)


def remove_orphaned(root: Path, say: Callable[[str], None] = lambda _line: None) -> list[Path]:
    """Remove the work trees of dead processes; returns their paths."""
    gone = []
    with _list_locked(root, say):
        for file in sorted((root / _FOLDER).glob("?*.lock")):
            with locked(file, wait=False) as lock:
                if lock is not None:
                    _remove(root, file.with_suffix(""))
                    gone.append(file.with_suffix(""))
    return gone


@contextmanager
def _dvc_config(folder: Path) -> Iterator[Config]:
    """DVC's configuration of a checkout, read in this process: `dvc config` takes a second.

    Raises:
        UserError: DVC cannot read it; with its message.
    """
    try:
        yield Config(str(folder / ".dvc"))
    except (ConfigError, ConfigObjError) as error:  # The second of `%(name)s` in a value.
        raise UserError(f"DVC's configuration in {folder}: {error}") from None


def cache_folder(root: Path) -> Path:
    """DVC's cache of a checkout."""
    with _dvc_config(root) as own:
        return Path(own["cache"].get("dir") or root / ".dvc" / "cache")


@contextmanager
def _local_config(tree: Path) -> Iterator[ConfigObj]:
    """DVC's local configuration of a work tree, to be changed.

    DVC itself writes ASCII alone, and the name of a folder may have any letter.

    Raises:
        UserError: it cannot be read.
    """
    try:
        config = ConfigObj(str(tree / ".dvc" / "config.local"), encoding="utf-8")
    except (ConfigObjError, UnicodeError) as error:
        raise UserError(f"DVC's configuration in {tree}: {error}") from None
    yield config
    config.write()


def _share_cache(root: Path, tree: Path) -> None:
    cache = checked_value(str(cache_folder(root)))
    with _local_config(tree) as local:
        local.setdefault("cache", {})["dir"] = cache


def set_default_remote(tree: Path, name: str) -> None:
    """Set the default DVC remote of a work tree.

    Raises:
        UserError: there is no such remote.
    """
    with _dvc_config(tree) as config:
        if name not in config["remote"]:
            raise UserError(f"DVC has no remote `{name}`: `dvc remote list` lists them")
    with _local_config(tree) as local:
        local.setdefault("core", {})["remote"] = name


def training_key(tree: Path, task: str) -> str:
    """Names what determines a task's training in a work tree: code, presets, parameters."""
    params = read_or_empty(tree / "params.yaml")
    own = as_mapping(params.pop("tasks", None)).get(task)
    found = git(tree, "ls-tree", "HEAD", "--", "chimle", "stages", "presets", "data", "dvc.yaml")
    try:
        return digest({"files": found, "params": params, "task": own})[:16]
    except (TypeError, ValueError, RecursionError):  # Such as dates, which the stages refuse.
        return digest({"files": found})[:16]


def _prepare(root: Path, tree: Path) -> None:
    """Share cache, resume states, local configuration and the user's own files with a tree."""
    local = root / ".dvc" / "config.local"
    if local.exists():
        shutil.copy2(local, tree / ".dvc" / "config.local")
    _share_cache(root, tree)
    for shared in _SHARED:
        (root / shared).mkdir(parents=True, exist_ok=True)
        (tree / shared).parent.mkdir(exist_ok=True)
        (tree / shared).symlink_to((root / shared).resolve())
    link_own_files(root, tree)


@contextmanager
def work_tree(root: Path, name: str, commit: str) -> Iterator[WorkTree]:
    """A work tree at a commit, removed when the block ends.

    Args:
        root: the project's checkout.
        name: of the tree; must not be in use.
        commit: what to check out; a bad name is a `UserError`.
    """
    found = find_commit(root, commit)
    if found is None:  # Before anything is created: a bad name leaves nothing behind.
        raise UserError(f"git worktree in {root}: `{commit}` names no commit")
    path = root / _FOLDER / name
    with ExitStack() as owned:
        with _list_locked(root):
            lock = owned.enter_context(locked(path.with_suffix(".lock"), wait=False))
            if lock is None:
                raise UserError(f"{path} is in use by another run")
            shutil.rmtree(path, ignore_errors=True)
            git(root, "worktree", "prune")
            owned.callback(_remove_locked, root, path)
            add = ("worktree", "add", "--quiet", "--detach", "--end-of-options")
            # `dvc install` makes a hook that fetches all data after a checkout, or fails.
            git(root, *add, str(path), found, hooks=False)
        _prepare(root, path)
        yield WorkTree(path, lock)


def _remove_locked(root: Path, tree: Path) -> None:
    with _list_locked(root):
        _remove(root, tree)
