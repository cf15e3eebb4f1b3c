"""Official files in torch's cache, downloaded where they are missing; not yet checked."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import torch

from chimle.errors import UserError
from chimle.io.download import Download, DownloadSpec
from chimle.io.http import HttpFile
from chimle.io.versions import Version

TIMEOUT_SECONDS = 20.0
"""Seconds without data after which an attempt fails."""
RETRIES = 3
"""Attempts of a download after the first that makes no progress."""
LARGEST_BYTES = 2**30
"""Limit on the size of a file of weights."""


def cached_download(url: str, parameter: str) -> Path:
    """Path of a file in torch's cache; it is downloaded if it is missing.

    Args:
        url: of the file.
        parameter: what a user may set to a file instead.

    Raises:
        UserError: it cannot be downloaded.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        remote = HttpFile(url, TIMEOUT_SECONDS, "the list of official weights")
        spec = DownloadSpec(None, "", Version(), LARGEST_BYTES, "the limit for weights")
        try:
            # Standard output may be a command's JSON.
            with redirect_stdout(sys.stderr):
                Download(remote, path, RETRIES).fetch(spec)
        except UserError as error:
            raise UserError(f"{error}, or name a file in `{parameter}`") from None
    return path
