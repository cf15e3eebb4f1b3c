"""Addresses of source files: local path, printable form, file name and checksum key."""

import hashlib
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from chimle.errors import UserError
from chimle.io.urls import SCHEME, mistake, plain


def checksum_key(address: str) -> str:
    """Key of an address in the checksums: without secrets, but with a hash of the query.

    Raises:
        UserError: it is no valid address.
    """
    if not SCHEME.match(address):
        return address
    query = _parts(address).query
    return plain(address) + (f"?{_short(query)}" if query else "")


def _parts(address: str) -> SplitResult:
    """An address's parts; `UserError` where it has none, as `http://[::1`."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise _invalid(address) from None
    return parts


def _invalid(address: str) -> UserError:
    return UserError(f"`source.archives`: {plain(address)} is no valid address")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def download_name(address: str) -> str:
    """A safe local file name for an address; raises as `checksum_key`."""
    last = re.sub(r"[^A-Za-z0-9._-]", "_", file_name(address)).lstrip(".")[-60:]
    return f"{_short(checksum_key(address))}-{last or 'file'}"


def file_name(address: str) -> str:
    """The last component of an address's path, may be empty; raises as `checksum_key`."""
    path = _parts(address).path if SCHEME.match(address) else address
    return unquote(path.rstrip("/").rpartition("/")[2])


def local_path(address: str, root: Path) -> Path | None:
    """The path of a local address; None for `http://` and `https://`.

    Raises:
        UserError: it names another machine or an unknown scheme, or is mistyped.
    """
    if "\0" in unquote(address):
        raise _invalid(address)
    if (fault := mistake(address)) and not (root / address).exists():
        raise UserError(f"`source.archives`: {fault}")
    if not SCHEME.match(address):
        return root / address
    parts = _parts(address)
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise UserError(f"`source.archives`: {plain(address)} names no host")
        return None
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UserError(f"`source.archives`: {plain(address)} names a host: write file:///PATH")
        return Path(url2pathname(parts.path))
    hint = ": use `kind: s3`" if parts.scheme == "s3" else ""
    raise UserError(
        f"`source.archives`: {plain(address)} is neither https, http, file nor a path{hint}"
    )
