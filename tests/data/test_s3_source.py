"""How a bucket's objects arrive."""

import json
import sys
from pathlib import Path

import pytest

from chimle.data.fetch.sources import bucket
from chimle.errors import UserError
from tests.support.fetched import ARCHIVE, PHOTOS, check, fetched, records
from tests.support.world import World, png, tar


def test_a_prefix_arrives_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "PAGE", 2)
    name = world.bucket(*((f"set/{key}", content) for key, content in PHOTOS), ("set/", b""))
    first = check(world)
    assert fetched(world) == dict(PHOTOS)
    assert check(world) == first
    assert records(world)[0]["source"] == f"s3://{name}/set/photos/0.png"
    assert len(records(world)[0]["version"]) == 32
    world.client().put_object(Bucket=name, Key="set/more.png", Body=png())
    with pytest.raises(UserError, match="has changed since it was first fetched"):
        check(world)
    check(world, accept=True)
    assert fetched(world) == {**dict(PHOTOS), "more.png": png()}


def test_a_public_bucket_needs_no_credentials(world: World) -> None:
    name = world.bucket(*PHOTOS)
    for key, _ in PHOTOS:
        world.client().put_object_acl(Bucket=name, Key=key, ACL="public-read")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        world.patch.delenv(variable)
    world.source("s3", address=f"s3://{name}/", endpoint=world.s3, unsigned=True)
    assert fetched(world) == dict(PHOTOS)


def test_a_bucket_that_cannot_be_reached_is_what_was_recorded(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    name = world.bucket(*PHOTOS, key="")
    first = check(world)
    fetched(world)
    world.source("s3", address=f"s3://{name}/", endpoint="http://127.0.0.1:9")
    assert check(world) == first
    assert "cannot be reached (its server cannot be reached)" in capsys.readouterr().err


@pytest.mark.parametrize("steady", [True, False])
def test_an_archive_in_a_bucket_is_continued(world: World, steady: bool) -> None:
    """A part lies there, of this version of the object or of another."""
    name = world.bucket(("a.tar", ARCHIVE), key="a.tar")
    first = check(world)
    version = json.loads(first)["now"]
    assert fetched(world) == dict(PHOTOS)
    downloads = world.root / "scratch" / "downloads"
    (file,) = downloads.glob("*-a.tar")
    file.with_name(f"{file.name}.json").unlink()
    file.rename(f"{file}.part")
    with Path(f"{file}.part").open("rb+") as part:
        part.truncate(2000)
        if not steady:
            part.write(b"other content")
    note = version if steady else {**version, "etag": '"other"'}
    Path(f"{file}.part.json").write_text(json.dumps(note))
    assert fetched(world) == dict(PHOTOS)
    world.client().put_object(Bucket=name, Key="a.tar", Body=tar(PHOTOS[0]))
    with pytest.raises(UserError, match="has changed since it was first fetched"):
        check(world)
    check(world, accept=True)
    assert fetched(world) == dict(PHOTOS[:1])


def test_without_boto3_a_sentence_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.source("s3", address="s3://towers/set/")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UserError, match=r"pip install 'chimle\[s3\]'"):
        check(world)
