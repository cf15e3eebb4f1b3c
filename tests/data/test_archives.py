"""What archives and single images become when they are unpacked."""

import errno
import io

import pytest
from PIL import Image

from chimle.data.fetch.unpacking import damage
from chimle.errors import UserError
from chimle.images.formats import usual_extension
from chimle.io.files import sha256_of
from tests.support.fetched import ARCHIVE, PHOTOS, fetched, records
from tests.support.world import TASK, World, png, tar, zip_


@pytest.mark.parametrize(
    "content",
    [
        ARCHIVE,
        *(tar(*PHOTOS, mode=f"w:{kind}") for kind in ("gz", "bz2", "xz")),
        zip_(*PHOTOS),
        zip_(*PHOTOS, packed=False),
    ],
    ids=["tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "stored-zip"],
)
def test_what_an_archive_is_its_content_says(world: World, content: bytes) -> None:
    world.archive(content, "in/download")
    assert fetched(world) == dict(PHOTOS)


def test_what_was_unpacked_is_not_copied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.archive(ARCHIVE)
    monkeypatch.delattr("chimle.data.fetch.fetching.shutil.copyfile")
    assert fetched(world) == dict(PHOTOS)
    targets = world.root / "data" / "raw" / TASK / "targets"
    assert all(path.stat().st_nlink == 1 for path in targets.rglob("*.png"))


def test_an_image_is_passed_through(world: World) -> None:
    address = world.serve(png(), path="/photo")
    assert fetched(world) == {"photo.png": png()}
    address = world.serve(png(), path="/other.png")
    assert fetched(world) == {"other.png": png()}
    assert records(world)[0]["source"] == address


@pytest.mark.parametrize("kind", ["JPEG2000", "TIFF", "WEBP", "SGI"])
def test_an_image_of_any_format_is_passed_through(world: World, kind: str) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png())).save(buffer, format=kind)
    world.serve(buffer.getvalue(), path="/photo")
    (name,) = fetched(world)
    assert name == f"photo{usual_extension(kind)}"


def test_a_record_says_where_its_file_comes_from(world: World) -> None:
    address = world.serve(ARCHIVE, path="/a.tar")
    world.url(address.replace("://", "://user:pass@") + "?token=hidden")
    fetched(world)
    first = records(world)[0]
    assert first["source"] == f"{address}#photos/0.png"
    assert first["version"] == sha256_of(
        next((world.root / "scratch" / "downloads").glob("*-a.tar"))
    )
    written = (path for path in world.root.rglob("*") if path.is_file())
    kept = [path for path in written if path.name != "params.yaml"]
    assert not any(word in path.read_bytes() for path in kept for word in (b"hidden", b"user:pass"))


def test_archives_lie_side_by_side(world: World) -> None:
    world.archive(tar(PHOTOS[0]), "in/one.tar")
    world.archive(zip_(PHOTOS[1]), "in/two.zip")
    world.source("url", archives=["in/one.tar", (world.root / "in" / "two.zip").as_uri()])
    assert fetched(world) == dict(PHOTOS[:2])


def test_a_name_in_unmarked_utf_8_is_kept(world: World) -> None:
    content = zip_(("nn.png", png()), packed=False).replace(b"nn.png", "é.png".encode())
    world.archive(content, "in/a.zip")
    assert fetched(world) == {"é.png": png()}


def test_what_came_damaged_is_fetched_again(world: World) -> None:
    world.serve(ARCHIVE, length=5000)
    with pytest.raises(UserError, match="is damaged"):
        fetched(world)
    assert not (world.root / "data" / "checksums.json").exists()
    world.serve(ARCHIVE)
    assert fetched(world) == dict(PHOTOS)


def test_a_full_disk_is_no_damage() -> None:
    with pytest.raises(OSError, match="No space"):
        damage(OSError(errno.ENOSPC, "No space left on device"))
