"""Bundles in Git repositories of others, tracked by DVC or Git.

Git's and DVC's configuration of a repository can name commands, credentials and files of this
machine. The repository is cloned, which leaves Git's behind; of DVC's only the addresses of remotes
are kept. Everything else is this user's own configuration.
"""

import configparser
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from chimle.errors import UserError
from chimle.io import s3
from chimle.io.download import LATER
from chimle.io.dvc_config import checked_value, reference
from chimle.io.files import resolved
from chimle.io.git_environment import without_repository
from chimle.io.git_progress import without_progress
from chimle.io.watched_process import LONGEST_SILENCE, StalledError, run_watched
from chimle.settings.shown_values import without_secrets

_REMOTE = re.compile(r"""'?remote "(?P<name>[\w.-]+)"'?""")
_KEYS = ("url", "endpointurl", "region", "allow_anonymous_login", "version_aware", "user", "port")
"""What is taken from a DVC remote's section: where it is, nothing that acts or names a file."""
_CACHE = "cache-of-the-checkout"
"""Name of a remote: the DVC cache of a checkout on this machine."""
_OPTIONS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    # Ends what speaks HTTP for Git, which may outlive a Git that is stopped.
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": f"{LONGEST_SILENCE:g}",
}
_GIT = ("git", *(part for item in _OPTIONS.items() for part in ("-c", "=".join(item))))
_SSH = (
    f"ssh -o ConnectTimeout={LONGEST_SILENCE:g} "
    f"-o ServerAliveInterval={LONGEST_SILENCE / 4:g} -o ServerAliveCountMax=4"
)
"""The same for ssh."""
_NEEDS_DVC = "bundles in Git repositories need DVC: pip install dvc"
Remotes = dict[str, dict[str, str]]


def _without_password(text: str) -> str:
    """A text without what may be secret in its addresses: user, password and query."""
    user, at, rest = text.rpartition("@")
    scheme, slashes, _ = user.partition("://")
    return without_secrets(f"{scheme}{slashes}{rest}" if at and slashes else text)


def _environment() -> dict[str, str]:
    home = Path.home() / ".aws"
    # DVC lets a repository name these two files where they are not set.
    files = {
        "AWS_CONFIG_FILE": home / "config",
        "AWS_SHARED_CREDENTIALS_FILE": home / "credentials",
    }
    own = {name: os.environ.get(name) or str(path) for name, path in files.items()}
    protocols = {"GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh", "GIT_TERMINAL_PROMPT": "0"}
    return {**without_repository(os.environ), **own, **protocols}


def _ssh_command(folder: Path) -> dict[str, str]:
    """The variable that names the command of ssh; nothing where the user has named one."""
    if {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys():
        return {}
    try:
        _git(folder, "config", "--get", "core.sshCommand")
    except UserError:
        return {"GIT_SSH_COMMAND": _SSH}
    return {}


def _git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Standard output of a Git command; `UserError` with its reason where it fails or stalls."""
    try:
        done = run_watched(
            [*_GIT, *arguments],
            cwd=folder,
            env={**_environment(), **(env or {})},
            written=folder,
            silence=LONGEST_SILENCE,
        )
    except StalledError as error:
        raise UserError(f"git {arguments[0]} made {error}: {LATER}") from None
    if done.returncode:
        told = without_progress(done.stderr.splitlines())
        raise UserError(told or f"git exited with {done.returncode}")
    return done.stdout


def _clone(repository: str, revision: str, folder: Path) -> None:
    """Check out a revision of a repository in a new folder."""
    source = str(Path(repository).absolute()) if Path(repository).exists() else repository
    # Progress, which nobody sees, tells a server that counts objects from one that is silent.
    options = ("--quiet", "--progress", "--no-local", "--no-checkout")
    ssh = _ssh_command(folder.parent)
    _git(folder.parent, "clone", *options, "--", source, folder.name, env=ssh)
    names = (revision, f"refs/remotes/origin/{revision}")
    for name in names:
        try:
            query = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            commit = _git(folder, *query).strip()
        except UserError:
            continue
        _git(folder, "checkout", "--quiet", "--detach", commit)
        return
    raise UserError("there is no such revision")


def _refuse_links(folder: Path) -> None:
    """`UserError` if a symbolic link leaves the repository."""
    for line in _git(folder, "ls-tree", "-r", "-z", "HEAD").split("\0"):
        mode, name = line.partition(" ")[0], line.partition("\t")[2]
        if mode == "120000" and not resolved(folder / name).is_relative_to(folder.resolve()):
            raise UserError(f"{name} is a symbolic link that leaves the repository")


def _read_config(folder: Path) -> configparser.RawConfigParser:
    """The configuration of a `.dvc` folder; the local one wins."""
    parser = configparser.RawConfigParser(strict=False)
    for name in ("config", "config.local"):
        try:
            parser.read(folder / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            raise UserError(f"{name} of DVC cannot be read") from None
    return parser


def _remotes(folder: Path) -> tuple[str | None, Remotes]:
    """The default remote's name and the addresses of all remotes of a `.dvc` folder."""
    parser, found = _read_config(folder), {}
    for section in parser.sections():
        if match := _REMOTE.fullmatch(section):
            values = {key: parser.get(section, key, fallback="").strip("'\"") for key in _KEYS}
            found[match["name"]] = {k: v for k, v in values.items() if v and '"' not in v}
    default = parser.get("core", "remote", fallback="").strip("'\"")
    return (default if default in found else None), found


def _write_config(folder: Path, default: str | None, remotes: Remotes) -> None:
    # With a reference in one of them, DVC would read none.
    kept = {name: own for name, own in remotes.items() if not any(map(reference, own.values()))}
    lines = ["[core]", "analytics = false", "check_update = false"]
    lines += [f"remote = {default}"] if default in kept else []
    for name, values in kept.items():
        lines += [
            f"['remote \"{name}\"']",
            *(f'{key} = "{value}"' for key, value in values.items()),
        ]
    (folder / "config").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _absolute(remotes: Remotes, folder: Path) -> Remotes:
    """Remotes of a checkout on this machine, whose paths are relative to its `.dvc` folder."""
    for values in remotes.values():
        if "://" not in values.get("url", ""):
            values["url"] = str(resolved(folder / values.get("url", "")))
    return remotes


def _own_cache(source: Path) -> Path:
    """The DVC cache of a checkout on this machine."""
    named = _read_config(source / ".dvc").get("cache", "dir", fallback="").strip("'\"")
    return resolved(source / ".dvc" / (named or "cache"))


def _restrict(clone: Path, repository: str) -> Iterator[str | None]:
    """Keep of DVC's configuration only remotes; yields those to try, the address of each."""
    main = clone / ".dvc"
    default, remotes = _remotes(main)
    for folder in clone.rglob(".dvc"):
        if folder.is_dir():
            nested = _remotes(folder)
            for file in folder.glob("config*"):
                _remove(file)
            _write_config(folder, *nested)
    for file in clone.rglob("*.dvc"):
        # An import brings the configuration of yet another repository.
        if file.is_file() and _is_import(file):
            file.unlink()
    if not main.is_dir():
        _remove(main)
        main.mkdir()
    source = Path(repository)
    if (source / ".dvc").is_dir():
        default, remotes = _remotes(source / ".dvc")
        remotes = _absolute(remotes, source / ".dvc")
        cache = _own_cache(source)
        if cache.is_dir():
            _write_config(main, _CACHE, {_CACHE: {"url": checked_value(str(cache))}})
            yield str(cache)
    for value in remotes[default].values() if default else ():
        checked_value(value)
    _write_config(main, default, remotes)
    yield f"DVC remote `{default}`, {remotes[default].get('url')}" if default else None


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_import(file: Path) -> bool:
    """Whether a file of DVC's names another repository, or may do so; read as DVC reads it."""
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise UserError(_NEEDS_DVC) from None
    try:
        content = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
        return any("repo" in dependency for dependency in content.get("deps") or ())
    except Exception:  # noqa: BLE001 - readers raise almost anything on hostile files
        return True


def _reason(stderr: str, code: int) -> str:
    """DVC's own reason: its line that begins with ERROR, without addresses of its support."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or [f"dvc exited with {code}"])[-1]
    return reason.removeprefix("ERROR: ").removeprefix("unexpected error - ").rstrip(".")


def _get(clone: Path, path: str, out: Path) -> str | None:
    """`dvc get` from the clone; the reason if it fails."""
    command = [sys.executable, "-m", "dvc", "get", f"--out={out}", "--", str(clone), path]
    folder = out.parents[1]
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    try:
        done = run_watched(
            command,
            cwd=out.parent,
            env={**_environment(), "TMPDIR": str(temporary)},
            written=folder,
            silence=LONGEST_SILENCE,
        )
    except StalledError as error:
        return f"dvc get made {error}: {LATER}"
    if "No module named dvc" in done.stderr:
        raise UserError(_NEEDS_DVC)
    return _reason(done.stderr, done.returncode) if done.returncode else None


def fetch(repository: str, revision: str, path: str, folder: Path) -> Path:
    """Download what DVC or Git track under a path at a revision.

    Args:
        repository: its address, or a folder of this machine.
        revision: a branch, tag or hash.
        path: within the repository.
        folder: where to put it; also for the clone.

    Raises:
        UserError: it cannot be read, or a link leaves the repository.
    """
    shown = f"{path} of {_without_password(repository)} at {revision} cannot be read"
    if repository.startswith("-") or urlsplit(repository).scheme == "ext":
        raise UserError(f"`{_without_password(repository)}` is not the address of a Git repository")
    clone, out = folder / "clone", folder / "out" / PurePosixPath(path).name
    out.parent.mkdir()
    try:
        _clone(repository, revision, clone)
        _refuse_links(clone)
        for place in _restrict(clone, repository):
            reason = _get(clone, path, out)
            if reason is None:
                return out
            shown_place = f" from {_without_password(place)}" if place else ""
    except UserError as error:
        told = str(error).replace(f"{clone}/", "")
        raise UserError(f"{shown} ({_without_password(told)})") from None
    fix = f": {s3.SET_CREDENTIALS}" if s3.BOTO_NO_CREDENTIALS in str(reason) else ""
    told = _without_password(str(reason).replace(str(clone), repository))
    raise UserError(f"{shown}{shown_place} ({told}){fix}")
