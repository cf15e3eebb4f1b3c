"""Bundles on a model hub: `hf://user/name@revision`, read and written through huggingface_hub.

Only the description and the weights of a repository are read, as of any bundle: nothing else of it
is downloaded, unpickled or run. HF_TOKEN logs in, HF_ENDPOINT names another hub.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimle.bundles.bundle import DESCRIPTION, LARGEST_DESCRIPTION, LARGEST_WEIGHTS, WEIGHTS
from chimle.errors import DISK_FULL, UserError
from chimle.io.urls import plain

SCHEME = "hf://"
_ADDRESS = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]*[^@\s/]))?/?", re.ASCII
)
_WORDS = {
    "GatedRepoError": "its owner has to admit you first, on its page",
    "DisabledRepoError": "it is disabled",
    "RepositoryNotFoundError": "there is no such repository, or it is private: log in by HF_TOKEN "
    "or `hf auth login`",
    "RevisionNotFoundError": "there is no such revision",
    "RevisionResolutionError": "there is no such revision",
    "LocalEntryNotFoundError": "the hub cannot be reached",
    "EntryNotFoundError": "it holds no model bundle",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set and it is not in the cache",
    "LocalTokenNotFoundError": "log in by HF_TOKEN or `hf auth login`",
    "HFValidationError": "its name is not valid",
    "ConnectError": "the hub cannot be reached",
    "TimeoutException": "the hub is silent",
    "TransportError": "the connection broke off",
}
"""Meaning of the library's errors, by class."""
_STATUSES = {401: "log in by HF_TOKEN or `hf auth login`", 403: "your login may not do this"}


@dataclass(frozen=True)
class HubAddress:
    """A repository on the hub, `user/name`, and a branch, tag or commit of it; None: `main`."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def split_address(address: str) -> HubAddress | None:
    """The parts of `hf://user/name@revision`; None for an address of another kind.

    Raises:
        UserError: it begins with hf:// and is of another form.
    """
    if not address.startswith(SCHEME):
        return None
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(
            f"{plain(address)} is no address of a hub: write hf://USER/NAME or ..@REVISION"
        )
    return HubAddress(match["repository"], match["revision"])


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UserError("hf:// needs huggingface_hub: pip install 'chimle[hub]'") from None
    return huggingface_hub


def describe(error: BaseException) -> str:
    """An error in few words, without the hub's own text."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    for kind in type(error).__mro__:
        if kind.__name__ in _WORDS:
            return _WORDS[kind.__name__]
    if status is not None:
        return _STATUSES.get(status, f"the hub answers with status {status}")
    return type(error).__name__


@contextmanager
def _in_words(action: str, address: HubAddress) -> Iterator[None]:
    """Turn the library's errors into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise UserError(f"{address} cannot be {action} ({describe(error)})") from None


def fetch(address: HubAddress) -> Path:
    """Download a bundle into the library's cache, both files of one commit; its folder.

    Raises:
        UserError: it cannot be read, or its files are too large for a bundle.
    """
    hub, revision = _library(), address.revision
    limits = {DESCRIPTION: LARGEST_DESCRIPTION, WEIGHTS: LARGEST_WEIGHTS}
    with _in_words("read", address):
        for name, largest in limits.items():
            wanted = {"repo_id": address.repository, "filename": name, "revision": revision}
            found = hub.hf_hub_download(**wanted, library_name="chimle", dry_run=True)
            if found.file_size is None or found.file_size > largest:
                size = "unknown" if found.file_size is None else f"{found.file_size:,} bytes"
                raise UserError(f"{address}/{name} is too large for a model bundle ({size})")
            path = Path(hub.hf_hub_download(**wanted, library_name="chimle"))
            revision = found.commit_hash
    return path.parent


def push(folder: Path, address: HubAddress, private: bool = False) -> str:
    """Upload a packed bundle as one commit; the repository and the branch are made where missing.

    Args:
        folder: the bundle with its card.
        address: where to; a revision is a branch.
        private: of a repository that is made.

    Returns:
        The page of the commit.

    Raises:
        UserError: the hub refuses it.
    """
    hub = _library()
    api = hub.HfApi(library_name="chimle")
    with _in_words("written", address):
        api.create_repo(address.repository, private=private, exist_ok=True)
        if address.revision:
            api.create_branch(address.repository, branch=address.revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=address.repository,
            folder_path=folder,
            revision=address.revision,
            commit_message="A CHIMLE model",
        )
    return str(done.commit_url)
