"""Model bundles on S3: versioned by content, uploaded once, read back, never overwritten."""

import hashlib
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from ruamel.yaml import YAML

from chimle.errors import TransientError, UserError
from chimle.io import s3
from chimle.io.files import write_text
from chimle.io.urls import plain

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]+")
_CHUNK = 8 * 2**20
"""Bytes per part of an upload, and per read of a check."""
_FIX = "correct `bundles`, or what boto3 reads: AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL"

_SWITCHES = (
    "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required and "
    "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required; what is uploaded is read back anyway"
)


@dataclass(frozen=True)
class Published:
    """A bundle on S3.

    Attributes:
        version: the first twelve digits of its SHA-256.
        address: `s3://BUCKET/PREFIX/TASK/TASK-VERSION.zip`.
        sha256: SHA-256 of the file.
    """

    version: str
    address: str
    sha256: str


def check_address(address: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://BUCKET[/PREFIX]`; `UserError` if it is not such an address."""
    bucket, prefix = s3.split_address(address) or ("", "")
    if not _BUCKET.fullmatch(bucket):
        raise UserError(
            f"`{plain(address)}` is not the address of a bucket: write s3://BUCKET/PREFIX"
        )
    return bucket, prefix.removesuffix("/")


def _hash(chunks: Any) -> str:
    state = hashlib.sha256()
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()


def _stored_hash(client: Any, bucket: str, key: str) -> str | None:
    """SHA-256 of an object as the store returns it; None if there is no such object."""
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.errors() as error:
        if s3.code(error) in ("NoSuchKey", "404"):
            return None
        raise
    return _hash(body.iter_chunks(_CHUNK))


def upload(file: Path, task: str, address: str) -> Published:
    """Upload a bundle in parts under the version that its content has.

    The same content again uploads nothing. Credentials and endpoint are boto3's usual chain.

    Raises:
        UserError: the address is bad, the store refuses, or holds other content by this version.
        TransientError: the store cannot be reached, or what it gives back is not what was sent.
    """
    bucket, prefix = check_address(address)
    with file.open("rb") as stream:
        sha256 = _hash(iter(lambda: stream.read(_CHUNK), b""))
    version = sha256[:12]
    key = "/".join(part for part in (prefix, task, f"{task}-{version}.zip") if part)
    published = Published(version, f"s3://{bucket}/{key}", sha256)
    try:
        client = s3.connect()
        stored = _stored_hash(client, bucket, key)
        if stored is None:
            config = TransferConfig(multipart_threshold=_CHUNK, multipart_chunksize=_CHUNK)
            extra = {"Metadata": {"sha256": sha256}}
            with file.open("rb") as stream:  # `upload_file` hides what the store says.
                client.upload_fileobj(stream, bucket, key, Config=config, ExtraArgs=extra)
            stored = _stored_hash(client, bucket, key)
            if stored != sha256:
                raise TransientError(
                    f"{published.address} is not what was sent: its SHA-256 differs"
                )
    except s3.errors() as error:
        raise _refusal(published.address, error) from None
    if stored != sha256:
        raise UserError(f"{published.address} holds other content: remove it or change the prefix")
    return published


def _refusal(address: str, error: Exception) -> Exception:
    if s3.code(error) == "NotImplemented":
        return UserError(f"{address}: the store does not know a header of boto3's: {_SWITCHES}")
    reason = f"{address} cannot be written ({s3.describe(error)})"
    return TransientError(reason) if s3.is_transient(error) else UserError(f"{reason}: {_FIX}")


def list_artifacts(dvc_yaml: Path, published: dict[str, Published]) -> None:
    """Write the address of each task's bundle into `artifacts:` of `dvc.yaml`; comments stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(dvc_yaml.read_text(encoding="utf-8"))
    artifacts = content.setdefault("artifacts", {})
    for task, bundle in published.items():
        entry = artifacts.setdefault(task, {"path": f"models/{task}", "type": "model"})
        entry["meta"] = {
            "version": bundle.version,
            "address": bundle.address,
            "sha256": bundle.sha256,
        }
    text = StringIO()
    yaml.dump(content, text)
    write_text(dvc_yaml, text.getvalue())
