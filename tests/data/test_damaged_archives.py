"""Archives damaged anywhere: all of their images arrive, or one error; never fewer of them."""

import random
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.data.fetch.archives import DamagedError, unpack
from chimle.data.fetch.unpacking import Limits
from chimle.data.file_names import Names
from chimle.errors import UserError
from tests.support.world import header, png, tar, zip_

IMAGES = {f"{folder}/{n}.png": png((8 + n, 8)) for folder in ("a", "b") for n in range(3)}
MEMBERS = tuple(IMAGES.items())
CHECKED = {
    "tar.gz": tar(*MEMBERS, mode="w:gz"),
    "tar.bz2": tar(*MEMBERS, mode="w:bz2"),
    "tar.xz": tar(*MEMBERS, mode="w:xz"),
    "zip": zip_(*MEMBERS),
    "zip that is not packed": zip_(*MEMBERS, packed=False),
}
"""Formats with a checksum over the images' content."""
PLAIN = tar(header("a/", tarfile.DIRTYPE), *MEMBERS)
ALL = {"tar": PLAIN, **CHECKED}


def unpacked(content: bytes) -> dict[str, bytes]:
    """The files that an archive gives."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(content)
        limits = Limits(files=100, bytes=10**6)
        unpack(folder / "archive", folder / "out", Names(), limits, "archive", "archive")
        files = (path for path in (folder / "out").rglob("*") if path.is_file())
        return {path.relative_to(folder / "out").as_posix(): path.read_bytes() for path in files}


def is_whole_or_refused(kind: str, content: bytes) -> None:
    """Whether all images arrive, or none and one error."""
    try:
        found = unpacked(content)
    except UserError:
        return
    if kind == "tar":  # It has checksums of its headers alone.
        assert found.keys() == IMAGES.keys()
    else:
        assert found == IMAGES


def test_archives_as_they_were_made_are_whole() -> None:
    for content in ALL.values():
        assert unpacked(content) == IMAGES


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_loses_no_image(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(ALL)))
    content = bytearray(ALL[kind])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    is_whole_or_refused(kind, bytes(content))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_cut_loses_no_image(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(ALL)))
    content = ALL[kind]
    is_whole_or_refused(kind, content[: data.draw(st.integers(0, len(content)))])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_lost_or_foreign_blocks_lose_no_image(data: st.DataObject) -> None:
    """A range that is missing, of zeros or of anything.

    A tar without some of its blocks is a smaller tar, and with zeros to the very end it has ended
    earlier: neither can be seen.
    """
    kind = data.draw(st.sampled_from(sorted(ALL)))
    content = ALL[kind]
    used = len(PLAIN.rstrip(b"\0")) if kind == "tar" else len(content)
    unit = data.draw(st.sampled_from((1, 512)))
    kinds = ("zeros", "noise") if kind == "tar" else ("zeros", "noise", "missing")
    instead = data.draw(st.sampled_from(kinds))
    start = data.draw(st.integers(0, (used - 1) // unit)) * unit
    length = min(used - 1 - start, data.draw(st.integers(1, 4096 // unit)) * unit)
    new = {
        "missing": b"",
        "zeros": bytes(length),
        "noise": random.Random(start).randbytes(length),
    }[instead]
    is_whole_or_refused(kind, content[:start] + new + content[start + length :])


def directory_entry(content: bytearray, name: bytes) -> int:
    """Where an entry begins in a zip's directory."""
    place = -1
    while True:
        place = content.index(b"PK\x01\x02", place + 1)
        if content[place + 46 :].startswith(name):
            return place


def _swallowed(content: bytearray) -> None:
    """A comment so long that it covers the next entry of the directory."""
    struct.pack_into("<H", content, directory_entry(content, b"a/1.png") + 32, 46 + 7)


def _empty_directory(content: bytearray) -> None:
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 12, 0)


def _folder(content: bytearray) -> None:
    content[directory_entry(content, b"a/1.png") + 46 + 6] = ord("/")


def _outside(content: bytearray) -> None:
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 16, len(content))


@pytest.mark.parametrize("harm", [_swallowed, _empty_directory, _folder, _outside])
def test_a_damaged_directory_of_a_zip_is_an_error(harm: Callable[[bytearray], None]) -> None:
    content = bytearray(zip_(*MEMBERS))
    harm(content)
    with pytest.raises(DamagedError, match="fetch or pack it again"):
        unpacked(bytes(content))


def test_a_zip_cut_off_behind_a_zip_that_it_holds_is_an_error() -> None:
    """The inner directory would stand for the whole."""
    inner = zip_(("inner.png", png()))
    content = zip_(*MEMBERS, ("inner.zip", inner), ("z.png", png()), packed=False)
    with pytest.raises(DamagedError, match="holds an entry that its directory lacks"):
        unpacked(content[: content.index(inner) + len(inner)])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_behind_a_tar_is_an_error(mode: str) -> None:
    with pytest.raises(DamagedError, match="holds data behind its end"):
        unpacked(tar(*MEMBERS[:3], mode=mode) + tar(*MEMBERS[3:], mode=mode))


@pytest.mark.parametrize("kind", ["pax", "gnu"])
def test_damage_to_a_long_name_is_an_error_or_a_name(kind: str, tmp_path: Path) -> None:
    """The first of three images has a name that needs a header of its own."""
    form = tarfile.PAX_FORMAT if kind == "pax" else tarfile.GNU_FORMAT
    names = [f"{'n' * 120}.png", "b.png", "c.png"]
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for name in names:
            path = tmp_path / "image.png"
            path.write_bytes(png())
            archive.add(path, name)
    content = (tmp_path / "a.tar").read_bytes()
    assert unpacked(content).keys() == set(names)
    for place in range(0, 1536, 23):
        changed = content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :]
        try:
            found = unpacked(changed)
        except UserError:
            continue
        assert len(found) == 3


@pytest.mark.parametrize("content", [bytes(512), bytes(10240), tar(), zip_()])
def test_an_archive_without_files_is_an_error(content: bytes) -> None:
    """Beside others it would be missed by nobody."""
    with pytest.raises(DamagedError, match="holds no files"):
        unpacked(content)


def test_folders_of_a_zip_are_no_damage(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/", b"")
        for name, content in MEMBERS:
            archive.writestr(name, content)
        archive.comment = b"PK\x03\x04 in a comment is no entry"
    assert unpacked((tmp_path / "a.zip").read_bytes()) == IMAGES
