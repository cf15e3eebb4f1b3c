"""Git work trees that share one DVC cache: a place of its own for each thing that runs.

DVC locks a work tree while it runs, so that two trainings in one would wait for each other. A tree
belongs to whoever holds the lock of its `.lock` file; one whose lock is free was forsaken by a
process that died, and is removed by the next that looks. The user's own checkout is never touched.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml
from dvc.config import Config, ConfigError

from chimle.errors import UserError
from flows.command import environment

_FOLDER = Path("scratch") / "work-trees"
_SHARED = (Path("scratch") / "train", Path("scratch") / "downloads")
"""Training's resume state and what was downloaded: shared by all trees, since both are keyed by
what determines them."""


@dataclass(frozen=True)
class WorkTree:
    """A checkout to run DVC in.

    Attributes:
        path: its directory.
        lock: descriptor whose lock says that it is in use; a command that runs in the tree holds
            it too, so that the tree is not removed beneath it.
    """

    path: Path
    lock: int


def git(root: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Standard output of a Git command, without its last newline.

    Raises:
        UserError: Git refused; its own words.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UserError(f"git {arguments[0]} in {root}: {words}")
    return done.stdout.rstrip("\n")


def ask_dvc(folder: Path, *arguments: str) -> str:
    """Standard output of a short DVC command.

    Raises:
        UserError: DVC refused; its own words.
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
def locked(path: Path, *, wait: bool = True) -> Iterator[int | None]:
    """Hold the lock of a file that is made for it; yields its descriptor, None if it is taken.

    The descriptor may be passed to a child, which then keeps the lock when this process dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            yield handle
    finally:
        os.close(handle)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Git's list of work trees is changed by one process at a time."""
    with locked(root / _FOLDER / ".lock"):
        yield


def _remove(root: Path, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    git(root, "worktree", "prune")
    tree.with_suffix(".lock").unlink(missing_ok=True)


def remove_orphaned(root: Path) -> list[Path]:
    """Remove the work trees whose owner died; returns their paths."""
    gone = []
    with _alone(root):
        for file in sorted((root / _FOLDER).glob("?*.lock")):
            with locked(file, wait=False) as lock:
                if lock is not None:
                    _remove(root, file.with_suffix(""))
                    gone.append(file.with_suffix(""))
    return gone


def _source_files(source: dict[str, Any]) -> Iterator[Any]:
    """What a source's parameters say of files; the paths of an archive's insides do not count."""
    if source.get("kind") == "folder":
        yield from (source.get(field) for field in ("path", "inputs", "annotations"))
    for archive in source.get("archives") or ():
        yield archive.get("address") if isinstance(archive, dict) else archive
    yield (source.get("listing") or {}).get("file")


def _inputs(params: Any) -> Iterator[PurePath]:
    """Relative paths outside Git that parameters name: a user's pictures and weights."""
    tasks = params.get("tasks") if isinstance(params, dict) else None
    yield PurePath("data", "by-hand")
    for task in (tasks or {}).values():
        source = (task or {}).get("source") or {}
        perceptual = (task or {}).get("perceptual") or {}
        for value in (*_source_files(source), perceptual.get("weights")):
            if isinstance(value, str) and not PurePath(value).is_absolute() and "://" not in value:
                parts = PurePath(value).parts
                yield PurePath(*parts[: parts.index("*")] if "*" in parts else parts)


def _link_inputs(root: Path, tree: Path) -> None:
    """Make the user's own files, which Git does not bring, appear in a work tree."""
    try:
        params = yaml.safe_load((tree / "params.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return  # The stages say what is wrong with it.
    for name in _inputs(params):
        if (root / name).exists() and not (tree / name).exists() and ".." not in name.parts:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).symlink_to((root / name).resolve())


@contextmanager
def _dvc_config(folder: Path) -> Iterator[Config]:
    """DVC's configuration of a checkout, read here: a `dvc` process would cost a second each.

    Raises:
        UserError: DVC cannot read it; its own words.
    """
    try:
        yield Config(str(folder / ".dvc"))
    except ConfigError as error:
        raise UserError(f"DVC's configuration in {folder}: {error}") from None


def _share_cache(root: Path, tree: Path) -> None:
    with _dvc_config(root) as own:
        cache = own["cache"].get("dir") or str(root / ".dvc" / "cache")
    with _dvc_config(tree) as config, config.edit("local") as local:
        local["cache"]["dir"] = cache


def set_default_remote(tree: Path, name: str) -> None:
    """Let DVC use one of its remotes in a work tree where none is named.

    Raises:
        UserError: there is no such remote.
    """
    with _dvc_config(tree) as config, config.edit("local") as local:
        if name not in config["remote"]:
            raise UserError(f"DVC has no remote `{name}`: `dvc remote list` tells which there are")
        local["core"]["remote"] = name


def _furnish(root: Path, tree: Path) -> None:
    """Share the cache, the resume state, the local configuration and the user's own files."""
    local = root / ".dvc" / "config.local"
    if local.exists():
        shutil.copy2(local, tree / ".dvc" / "config.local")
    _share_cache(root, tree)
    for shared in _SHARED:
        (root / shared).mkdir(parents=True, exist_ok=True)
        (tree / shared).parent.mkdir(exist_ok=True)
        (tree / shared).symlink_to((root / shared).resolve())
    _link_inputs(root, tree)


@contextmanager
def work_tree(root: Path, name: str, commit: str) -> Iterator[WorkTree]:
    """A work tree at a commit, gone when the block ends.

    Args:
        root: the project's checkout.
        name: tells its purpose; must not be in use.
        commit: what to check out; an unborn name or a bad one is a `UserError`.
    """
    path = root / _FOLDER / name
    with ExitStack() as owned:
        with _alone(root):
            lock = owned.enter_context(locked(path.with_suffix(".lock"), wait=False))
            if lock is None:
                raise UserError(f"{path} is in use by another run")
            shutil.rmtree(path, ignore_errors=True)
            git(root, "worktree", "prune")
            owned.callback(_remove_alone, root, path)
            git(root, "worktree", "add", "--quiet", "--detach", str(path), commit)
        _furnish(root, path)
        yield WorkTree(path, lock)


def _remove_alone(root: Path, tree: Path) -> None:
    with _alone(root):
        _remove(root, tree)
