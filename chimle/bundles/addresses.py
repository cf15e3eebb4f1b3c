"""Addresses of bundles: a folder, a zip file, S3, a model hub, or Git with DVC at a revision."""

import re
import tempfile
from pathlib import Path, PurePosixPath

from chimle.bundles import git_repository, hub
from chimle.bundles.bundle import (
    DESCRIPTION,
    LARGEST_DESCRIPTION,
    LARGEST_WEIGHTS,
    WEIGHTS,
    Bundle,
    load_bundle,
)
from chimle.errors import UserError
from chimle.io import s3
from chimle.io.urls import SCHEME, mistake, plain

_GIT = re.compile(
    r"git\+(?P<repository>(?:[^/]+://[^/]*/.*|(?!.*://).+))@(?P<revision>[^@:]+):(?P<path>[^:]+)"
)


def _fetch_s3(bucket: str, key: str, folder: Path) -> Path:
    """Download a bundle, a zip object or a prefix on S3, into `folder`; boto3 finds credentials."""
    name = PurePosixPath(key).name
    limits = (
        {key: (name, LARGEST_WEIGHTS)}
        if name.endswith(".zip")
        else {
            f"{key}/{DESCRIPTION}": (DESCRIPTION, LARGEST_DESCRIPTION),
            f"{key}/{WEIGHTS}": (WEIGHTS, LARGEST_WEIGHTS),
        }
    )
    client = s3.connect()
    try:
        for object_key, (file, largest) in limits.items():
            size = client.head_object(Bucket=bucket, Key=object_key)["ContentLength"]
            if size > largest:
                raise UserError(f"s3://{bucket}/{object_key} has {size:,} bytes: no model bundle")
            client.download_file(bucket, object_key, str(folder / file))
    except s3.errors() as error:
        reason = s3.describe(error)
        fix = f": {s3.SET_CREDENTIALS}" if reason == s3.NO_CREDENTIALS else ""
        raise UserError(f"s3://{bucket}/{key} cannot be read ({reason}){fix}") from None
    return folder / name if name.endswith(".zip") else folder


def _split_s3(address: str) -> tuple[str, str] | None:
    """Bucket and key without a final slash; None for any other address."""
    bucket, key = s3.split_address(address) or ("", "")
    return (bucket, key.rstrip("/")) if key.rstrip("/") else None


def is_remote(address: str) -> bool:
    """Whether the bundle must be downloaded first, or the address is of an unknown kind."""
    known = _split_s3(address) or address.startswith(hub.SCHEME) or _GIT.fullmatch(address)
    return bool(known) or _unknown_kind(address)


def _unknown_kind(address: str) -> bool:
    """Whether an address that is of no known kind is no path either."""
    return bool(SCHEME.match(address) or mistake(address)) and not Path(address).exists()


def _load_copy(copy: Path, address: str, device: str) -> Bundle:
    """A bundle that was downloaded from an address, which a message names instead of the copy."""
    try:
        return load_bundle(copy, device)
    except UserError as error:
        raise UserError(str(error).replace(str(copy), plain(address).rstrip("/"))) from None


def open_bundle(address: str, device: str = "cpu") -> Bundle:
    """Load a bundle from any address.

    Args:
        address: a folder or zip file; `s3://bucket/prefix` or `s3://bucket/name.zip`;
            `hf://user/name` or `hf://user/name@revision`; or `git+REPOSITORY@REVISION:PATH`, where
            the path is tracked by DVC or Git.
        device: of the tower.

    Raises:
        UserError: it cannot be downloaded, or is no bundle.
    """
    if (fault := mistake(address)) and not Path(address).exists():
        raise UserError(fault)
    with tempfile.TemporaryDirectory(prefix="chimle-") as name:
        if place := _split_s3(address):
            return _load_copy(_fetch_s3(*place, Path(name)), address, device)
        if at_hub := hub.split_address(address):
            return _load_copy(hub.fetch(at_hub), address, device)
        if match := _GIT.fullmatch(address):
            wanted = (match["repository"], match["revision"], match["path"])
            found = git_repository.fetch(*wanted, Path(name))
            return _load_copy(found, address, device)
        if _unknown_kind(address):
            raise UserError(
                f"{plain(address)} is no address of a bundle: name a folder, a zip file, "
                "s3://BUCKET/NAME, hf://USER/NAME or git+REPOSITORY@REVISION:PATH"
            )
        return load_bundle(Path(address), device)
