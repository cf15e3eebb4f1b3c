"""Git work trees that share one DVC cache: one for each task of a run.

DVC locks a work tree while it runs, so two trainings in one tree would wait for each other. A tree
belongs to the process that holds the lock of its `.lock` file; a tree whose lock is free is
orphaned, and the next process removes it. The user's checkout is never changed.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml
from dvc.config import Config, ConfigError

from chimle.errors import TransientError, UserError
from chimle.io.files import locked
from chimle.provenance import digest
from flows.command import environment

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


def git(root: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Standard output of a Git command, without its last newline.

    Raises:
        UserError: Git failed; with its message.
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
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UserError(f"git {arguments[0]} in {root}: {reason}")
    return done.stdout.rstrip("\n")


def find_commit(root: Path, name: str) -> str | None:
    """The hash of the commit that `name` means; None if there is no such commit."""
    with suppress(UserError):
        return git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
    return None


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


def _source_files(source: dict[str, Any]) -> Iterator[Any]:
    """The files that a source's parameters name, without paths inside archives."""
    if source.get("kind") == "folder":
        yield from (source.get(field) for field in ("path", "inputs", "annotations"))
    for archive in source.get("archives") or ():
        yield archive.get("address") if isinstance(archive, dict) else archive
    yield (source.get("listing") or {}).get("file")


_FILE_FIELDS = (("perceptual", "weights"), ("evaluate", "inception"), ("train", "start"))
"""Section and field of settings that may name a file, beside those of `source`."""
_NO_FILES = {"official", "random", "scratch", "pretrained"}
"""Other values of these fields."""


def _named_files(sections: dict[str, Any]) -> Iterator[Any]:
    """The files that the sections of a task, or of a preset, name."""
    yield from _source_files(sections.get("source") or {})
    yield from ((sections.get(section) or {}).get(field) for section, field in _FILE_FIELDS)


def _inputs(params: Any, preset: Any) -> Iterator[PurePath]:
    """Relative paths outside Git that parameters or their preset name: a user's images, weights
    and models."""
    yield PurePath("data", "by-hand")
    for content in (params, preset):
        if not isinstance(content, dict):
            continue
        for sections in (content, *(content.get("tasks") or {}).values()):
            for value in _named_files(sections or {}):
                if not isinstance(value, str) or value in _NO_FILES or "://" in value:
                    continue
                parts = PurePath(value).parts
                # `models` holds outputs of stages, which DVC writes in this tree.
                if parts[:1] != ("models",) and not PurePath(value).is_absolute():
                    yield PurePath(*parts[: parts.index("*")] if "*" in parts else parts)


def _link_inputs(root: Path, tree: Path) -> None:
    """Link the user's own files, which Git does not hold, into a work tree."""
    try:
        params = yaml.safe_load((tree / "params.yaml").read_text(encoding="utf-8"))
        file = tree / "presets" / f"{params['preset']}.yaml"
        preset = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return  # The stages report what is wrong with it.
    for name in _inputs(params, preset):
        if (root / name).exists() and not (tree / name).exists() and ".." not in name.parts:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).symlink_to((root / name).resolve())


@contextmanager
def _dvc_config(folder: Path) -> Iterator[Config]:
    """DVC's configuration of a checkout, read in this process: `dvc config` takes a second.

    Raises:
        UserError: DVC cannot read it; with its message.
    """
    try:
        yield Config(str(folder / ".dvc"))
    except ConfigError as error:
        raise UserError(f"DVC's configuration in {folder}: {error}") from None


def cache_folder(root: Path) -> Path:
    """DVC's cache of a checkout."""
    with _dvc_config(root) as own:
        return Path(own["cache"].get("dir") or root / ".dvc" / "cache")


def _share_cache(root: Path, tree: Path) -> None:
    cache = cache_folder(root)
    with _dvc_config(tree) as config, config.edit("local") as local:
        local["cache"]["dir"] = str(cache)


def set_default_remote(tree: Path, name: str) -> None:
    """Set the default DVC remote of a work tree.

    Raises:
        UserError: there is no such remote.
    """
    with _dvc_config(tree) as config, config.edit("local") as local:
        if name not in config["remote"]:
            raise UserError(f"DVC has no remote `{name}`: `dvc remote list` lists them")
        local["core"]["remote"] = name


def training_key(tree: Path, task: str) -> str:
    """Names what determines a task's training in a work tree: code, presets, parameters."""
    try:
        params = yaml.safe_load((tree / "params.yaml").read_text(encoding="utf-8"))
        tasks = params.pop("tasks", None) or {}
    except (OSError, AttributeError, yaml.YAMLError):
        params, tasks = {}, {}  # The stages report what is wrong with it.
    found = git(tree, "ls-tree", "HEAD", "--", "chimle", "stages", "presets", "data", "dvc.yaml")
    return digest({"files": found, "params": params, "task": tasks.get(task)})[:16]


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
    _link_inputs(root, tree)


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
            git(root, *add, str(path), found)
        _prepare(root, path)
        yield WorkTree(path, lock)


def _remove_locked(root: Path, tree: Path) -> None:
    with _list_locked(root):
        _remove(root, tree)
