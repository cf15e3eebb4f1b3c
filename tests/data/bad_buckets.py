"""Buckets that are refused."""

# ruff: noqa: E501

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chimle.data.fetch.sources.bucket import Bucket, StoredObject
from tests.data.bad_inputs import BadInput
from tests.support.world import World, png, tar

GOOD = ("set/a.png", png())


def _row(
    what: str, says: str, *objects: tuple[str, bytes], key: str = "set/", **fields: Any
) -> BadInput:
    return BadInput("Buckets", what, says, lambda world: world.bucket(*objects, key=key, **fields))


def _answers(content: bytes = b"", **behaviour: Any) -> Callable[[World], None]:
    """A server that is no good one."""

    def make(world: World) -> None:
        world.site.put("/towers", content, **behaviour)
        world.source("s3", address="s3://towers/set/", endpoint=world.site.address)

    return make


def _before_receiving(change: Callable[[World, Any, str], object]) -> Callable[[World], None]:
    """Something happens to the bucket between the listing and the first object."""

    def make(world: World) -> None:
        name = world.bucket(GOOD, ("set/b.png", png()))
        receive, client = Bucket.receive, world.client()

        def first(self: Bucket, one: StoredObject, path: Path) -> None:
            if one.key == GOOD[0]:
                change(world, client, name)
            receive(self, one, path)

        world.patch.setattr(Bucket, "receive", first)

    return make


def _recorded(world: World) -> None:
    name = world.bucket(GOOD)
    checksums = world.root / "data" / "checksums.json"
    checksums.write_text(json.dumps({f"s3://{name}/set/": {"sha256": "0" * 64}}))


def _archive_recorded(world: World) -> None:
    name = world.bucket(("a.tar", tar(("a.png", png()))), key="a.tar")
    entry = {"sha256": "0" * 64, "etag": '"other"'}
    checksums = world.root / "data" / "checksums.json"
    checksums.write_text(json.dumps({f"s3://{name}/a.tar": entry}))


def _nobody_signed(world: World) -> None:
    world.bucket(GOOD)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        world.patch.delenv(name)


def _source(**fields: Any) -> Callable[[World], None]:
    def make(world: World) -> None:
        world.source("s3", **{"endpoint": world.s3, **fields})

    return make


_SET = "s3://…/set/ "
_TOWERS = "s3://towers/set/ cannot be read "
_LATER = "; 5 attempts): try again later"
_ACCEPT = "run `python -m stages.check TASK --accept` to take what is there now"
_RENAME = ": rename it or narrow the prefix"

TABLE = [
    BadInput(
        "Buckets",
        "no such bucket",
        "s3://nowhere/set/ cannot be read (there is no such bucket): fix `source.address` or the credentials",
        _source(address="s3://nowhere/set/"),
    ),
    _row(
        "nothing below the prefix",
        "s3://…/none/ holds no objects: fix `source.address`",
        GOOD,
        key="none/",
    ),
    _row(
        "a prefix without its slash",
        "s3://…/set cannot be read (there is no such bucket or object): fix `source.address`, whose end is / if it is a prefix",
        GOOD,
        key="set",
    ),
    _row(
        "a key that leads upwards",
        f"s3://…/set/../evil.png leads out of its folder{_RENAME}",
        ("set/../evil.png", b"x"),
    ),
    _row(
        "a key with an absolute end",
        f"s3://…/set//evil.png is absolute{_RENAME}",
        ("set//evil.png", b"x"),
    ),
    _row(
        "a key with a backslash",
        f"s3://…/set/..\\evil.png has a backslash{_RENAME}",
        ("set/..\\evil.png", b"x"),
    ),
    _row(
        "a folder with content",
        f"s3://…/set/a/ has the name of a folder but content{_RENAME}",
        ("set/a/", b"x"),
    ),
    _row(
        "keys that differ in case",
        f"s3://…/set/a.png is there beside A.png, the same but for case{_RENAME}",
        ("set/A.png", b"x"),
        GOOD,
    ),
    _row(
        "a key below another object",
        f"s3://…/set/a.png/b.png needs a folder where a.png is a file{_RENAME}",
        GOOD,
        ("set/a.png/b.png", b"x"),
    ),
    _row(
        "too many objects",
        f"{_SET}holds 2 objects, more than `source.most_files` 1: raise that",
        GOOD,
        ("set/b.png", b"x"),
        most_files=1,
    ),
    _row(
        "too many bytes",
        f"{_SET}holds … bytes, more than `source.most_bytes` 10: raise that",
        GOOD,
        most_bytes=10,
    ),
    _row(
        "objects that are no images",
        "`source.path`: . holds no images (…)",
        ("set/a.txt", b"x"),
    ),
    _row("a damaged image", "…/a.png is damaged or no image (…): replace it", ("set/a.png", b"x")),
    _row(
        "a damaged archive",
        "s3://…/a.tar is damaged at a.png (unexpected end of data): fetch or pack it again",
        ("a.tar", tar(("a.png", png()))[:600]),
        key="a.tar",
    ),
    _row(
        "an archive of another SHA-256",
        f"s3://…/a.tar has SHA-256 …, not the {'0' * 64} that its `sha256` in `source` names",
        ("a.tar", b"x"),
        key="a.tar",
        sha256="0" * 64,
    ),
    BadInput(
        "Buckets",
        "objects changed since they were recorded",
        f"{_SET}has changed since it was first fetched: {_ACCEPT}",
        _recorded,
    ),
    BadInput(
        "Buckets",
        "objects changed, as a check sees it",
        f"{_SET}has changed since it was first fetched: {_ACCEPT}",
        _recorded,
        "check",
    ),
    BadInput(
        "Buckets",
        "an archive changed since it was recorded",
        f"s3://…/a.tar has changed since it was first fetched: {_ACCEPT}, or name its `sha256`, which is then all that counts",
        _archive_recorded,
    ),
    BadInput(
        "Buckets",
        "an object that changes after the listing",
        "s3://…/set/a.png cannot be read (it has changed): run again",
        _before_receiving(
            lambda _world, client, name: client.put_object(
                Bucket=name, Key="set/a.png", Body=b"other"
            )
        ),
    ),
    BadInput(
        "Buckets",
        "an object that vanishes after the listing",
        "s3://…/set/a.png cannot be read (there is no such object): fix `source.address`, whose end is / if it is a prefix",
        _before_receiving(
            lambda _world, client, name: client.delete_object(Bucket=name, Key="set/a.png")
        ),
    ),
    BadInput(
        "Buckets",
        "an object that comes after the listing",
        f"{_SET}changed while it was fetched: run again",
        _before_receiving(
            lambda _world, client, name: client.put_object(
                Bucket=name, Key="set/new.png", Body=png()
            )
        ),
    ),
    BadInput(
        "Buckets",
        "no access",
        f"{_TOWERS}(access is denied): ask its owner, or choose another `source.profile`",
        _answers(statuses=[403] * 9),
    ),
    BadInput(
        "Buckets",
        "another region",
        f"{_TOWERS}(the region is another one): fix `source.region`",
        _answers(statuses=[301] * 9),
    ),
    BadInput(
        "Buckets",
        "503 for ever",
        f"s3://towers/set/ cannot be fetched (its server is busy{_LATER}",
        _answers(statuses=[503] * 99),
    ),
    BadInput(
        "Buckets",
        "a server of web pages",
        f"s3://towers/set/ cannot be fetched (its server fails{_LATER}",
        _answers(b"<html>hello"),
    ),
    BadInput(
        "Buckets",
        "nobody listens",
        f"s3://towers/set/ cannot be fetched (its server cannot be reached{_LATER}",
        _source(address="s3://towers/set/", endpoint="http://127.0.0.1:9"),
    ),
    BadInput(
        "Buckets",
        "an endpoint that is no address",
        "`source.endpoint` is no valid address: write https://HOST",
        _source(address="s3://towers/set/", endpoint="nonsense"),
    ),
    BadInput(
        "Buckets",
        "a profile that does not exist",
        "S3 cannot be used: there is no such profile in the credentials",
        _source(address="s3://towers/set/", profile="nobody"),
    ),
    BadInput(
        "Buckets",
        "no credentials",
        f"{_SET}cannot be read (no credentials were found): set some up for boto3, or `source.unsigned: true` for a public bucket",
        _nobody_signed,
    ),
    BadInput(
        "Buckets",
        "a name that no bucket has",
        "s3://a b/set/ cannot be read (the bucket's name or the key is not valid): fix `source.address` or the credentials",
        _source(address="s3://a b/set/"),
    ),
]
