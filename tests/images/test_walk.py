"""The search of files, folders and patterns for images."""

import os
import socket
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.errors import UserError
from chimle.images.formats import NO_RAW, image_extensions
from chimle.images.walk import HIDDEN, SYSTEM, Walk, walk
from chimle.io.patterns import expand


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def inside(found: Walk) -> list[str]:
    return [image.inside.as_posix() for image in found.images]


def reasons(found: Walk, root: Path) -> dict[str, str]:
    return {one.path.relative_to(root).as_posix(): one.reason for one in found.left_out}


def test_a_folder_gives_every_image_and_a_reason_for_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.JFIF", "sub/c.tga", "sub/d.jp2", "e.avif", "f.ppm", "g.jpe")
    touch(tmp_path, "h.txt", "none", ".hidden.png", "sub/Thumbs.db", "i.NEF", ".git/x.png")
    touch(tmp_path, "__MACOSX/a.jpg", "sub/@eaDir/a.jpg")
    found = walk([tmp_path])
    assert inside(found) == [
        "a.jpg",
        "b.JFIF",
        "e.avif",
        "f.ppm",
        "g.jpe",
        "sub/c.tga",
        "sub/d.jp2",
    ]
    assert reasons(found, tmp_path) == {
        ".git": f"{HIDDEN} (folder)",
        ".hidden.png": HIDDEN,
        "__MACOSX": f"{SYSTEM} (folder)",
        "h.txt": "no image file (.txt)",
        "i.NEF": NO_RAW,
        "none": "no image file (no extension)",
        "sub/@eaDir": f"{SYSTEM} (folder)",
        "sub/Thumbs.db": SYSTEM,
    }
    assert found.summary().startswith("8 files are left out: ")
    assert not any(one.named for one in found.left_out)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Pipes, sockets and broken links are listed; a link to a file is the file."""
    touch(tmp_path, "real/a.png")
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.png"))
        (folder / "broken.png").symlink_to("nowhere")
        (folder / "self.png").symlink_to("self.png")
        (folder / "link.png").symlink_to("../real/a.png")
        found = walk([folder])
    assert inside(found) == ["link.png"]
    assert reasons(found, folder) == {
        "broken.png": "a broken link",
        "pipe.png": "a pipe",
        "self.png": "a broken link",
        "socket.png": "a socket",
    }
    named = walk([folder / "pipe.png"])
    assert not named.images
    assert named.left_out[0].named


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "in/sub/a.png", "other/b.png", "other/deep/c.png")
    top = tmp_path / "in"
    (top / "up").symlink_to("..")
    (top / "again").symlink_to("sub")
    (top / "loop").symlink_to(".")
    (top / "out").symlink_to("../other")
    (top / "out2").symlink_to("../other")
    (tmp_path / "other" / "back").symlink_to("../in")
    found = walk([top])
    assert sorted(image.path.resolve().name for image in found.images) == [
        "a.png",
        "b.png",
        "c.png",
    ]
    assert inside(found) == ["out/b.png", "out/deep/c.png", "sub/a.png"]
    left = reasons(found, top)
    assert left["again"] == left["loop"] == "a link to a folder that is searched itself"
    assert left["out2"] == "a folder that is searched already"


def test_the_output_folder_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/a_00.png", "sub/out/b.png")
    found = walk([tmp_path], exclude=[tmp_path / "sub" / ".." / "out"])
    assert inside(found) == ["a.png", "sub/out/b.png"]
    assert reasons(found, tmp_path) == {"out": "the output folder"}
    assert inside(walk([tmp_path / "out"], exclude=[tmp_path / "out"])) == ["a_00.png"]


def test_files_that_are_named_are_images_whatever_their_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "data", ".hidden.png", "a.png")
    found = walk(["data", ".hidden.png", "a.png", "./a.png", "none.png", "x*.png"])
    assert inside(found) == ["data", ".hidden.png", "a.png"]
    assert [(one.reason, one.named) for one in found.left_out] == [
        ("does not exist", True),
        ("matches nothing", True),
    ]


@pytest.mark.parametrize("argument", ["", "a\0b"])
def test_an_empty_argument_is_refused(argument: str) -> None:
    with pytest.raises(UserError, match="is empty"):
        walk([argument])


def test_patterns_are_those_of_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(
        tmp_path, "p [2024]/a.png", "p [2024]/b [1].png", "p2/c.png", "p2/deep/d.png", "p2/.e.png"
    )
    touch(tmp_path, "p2/x.txt", "__MACOSX/y.png")
    (tmp_path / "p2" / "loop").symlink_to(".")
    (tmp_path / "p2" / "loop2").symlink_to(".")
    assert inside(walk(["p [2024]/*.png"])) == ["a.png", "b [1].png"]
    assert inside(walk(["p [2024]/b [1].png"])) == ["b [1].png"]
    assert inside(walk(["p*"])) == ["a.png", "b [1].png", "c.png", "deep/d.png"]
    assert inside(walk(["**/*.png"])) == ["a.png", "b [1].png", "c.png", "d.png"]
    assert inside(walk([str(tmp_path / "p[0-9]" / "*.png")])) == ["c.png"]
    assert [one.reason for one in walk(["p2/*.txt"]).left_out] == ["no image file (.txt)"]


def test_matched_components_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a/x/high/1.png", "b/high/2.png", "b/low/2.png")
    matches = expand("**/high", tmp_path)
    assert [one.matched for one in matches] == [PurePath("a/x"), PurePath("b")]
    assert [one.matched for one in expand("*/low", tmp_path)] == [PurePath("b")]


NAME = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), max_size=12)
EXTENSIONS = st.sampled_from([*sorted(image_extensions()), ".txt", "", ".X"])
NAMES = st.sets(st.tuples(NAME, EXTENSIONS))


@settings(max_examples=40)
@given(names=NAMES)
def test_every_file_is_found_or_left_out(
    names: set[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("names")
    made = set()
    for stem, extension in names:
        name = f"{stem}{extension}"
        if name not in ("", ".", ".."):
            (root / name).write_bytes(b"x")
            made.add(name)
    found = walk([root])
    listed = {one.path.name for one in found.left_out}
    images = {image.path.name for image in found.images}
    assert made == listed | images
    assert not listed & images
    for name in made:
        assert inside(walk([root / name])) == [name]
