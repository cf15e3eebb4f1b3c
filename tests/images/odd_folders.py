"""The table of odd folders: how each is made, which images are found, and what is left out."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM = "left behind by an operating system"
SEARCHED = "a link to a folder that is searched itself"


@dataclass(frozen=True)
class OddFolder:
    """A row of the table. Every folder also holds the good image `good.png`.

    Attributes:
        what: what is odd.
        make: puts it into the folder.
        found: further images, by their paths below the folder.
        left_out: reasons by paths.
        arguments: relative to the folder; by default the folder itself.
        good: whether `good.png` is found.
    """

    what: str
    make: Callable[[Path], object]
    found: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = (".",)
    good: bool = True

    @property
    def happens(self) -> str:
        """The row's second column."""
        reasons = dict.fromkeys(self.left_out.values())
        parts = [f"left out: {reason}" for reason in reasons]
        if self.found:
            parts = ["found", *parts]
        return "; ".join(parts or ["found once" if len(self.arguments) > 1 else "no image in it"])


def files(*names: str) -> Callable[[Path], object]:
    """Put files into a folder, whose content is never read here."""

    def make(root: Path) -> None:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")

    return make


def link(name: str, target: str) -> Callable[[Path], object]:
    """Put a symbolic link into a folder; its target is relative to the folder."""
    return lambda root: (root / name).symlink_to(root / target)


def both(*makers: Callable[[Path], object]) -> Callable[[Path], object]:
    """Several things in one folder."""
    return lambda root: [make(root) for make in makers]


def _socket(root: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:  # Its address is shorter from here.
        os.chdir(root)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket.png")
    finally:
        os.fchdir(here)
        os.close(here)


def _left_out(what: str, name: str, reason: str) -> OddFolder:
    return OddFolder(what, files(name), left_out={name.split("/")[0]: reason})


def _found(what: str, *names: str) -> OddFolder:
    return OddFolder(what, files(*names), found=names)


TABLE = [
    _left_out("hidden file", ".hidden.png", "hidden"),
    _left_out("macOS's second file of an image", "._good.png", "hidden"),
    _left_out("hidden folder", ".cache/a.png", "hidden (folder)"),
    _left_out("`__MACOSX`, from a zip file", "__MACOSX/a.png", f"{SYSTEM} (folder)"),
    _left_out("`@eaDir`, of a network drive", "@eaDir/a.jpg", f"{SYSTEM} (folder)"),
    _left_out("`$RECYCLE.BIN`", "$RECYCLE.BIN/a.png", f"{SYSTEM} (folder)"),
    _left_out("`Thumbs.db`", "Thumbs.db", SYSTEM),
    _left_out("`desktop.ini`", "desktop.ini", SYSTEM),
    _left_out("text", "notes.txt", "no image file (.txt)"),
    _left_out("film", "clip.mp4", "no image file (.mp4)"),
    _left_out("file without extension", "README", "no image file (no extension)"),
    _left_out(
        "camera's raw file",
        "DSC_1.NEF",
        "raw files are not read: develop it to TIFF or PNG first",
    ),
    _found("images of a phone", "1.jfif", "2.avif", "3.jp2", "4.JPG", "5.jpe", "6.HEIC"),
    _found("old formats in upper case", "1.TGA", "2.PPM", "3.PCX", "4.SGI", "5.BMP"),
    _found("names with spaces, brackets and stars", "a b.png", "[c].png", "d*.png", "e?.png"),
    _found("name with a line break", "a\nb.png"),
    _found("name with a backslash", "a\\b.png"),
    _found("name that is no UTF-8", "a\udcff.png"),
    _found("name of 255 bytes", f"{'n' * 251}.png"),
    _found("names that differ in case only", "a.png", "A.PNG"),
    _found("one name in two folders", "cat/001.png", "dog/001.png"),
    _found("one name with two extensions", "a.png", "a.tif"),
    _found("folders 30 deep", "/".join(["d"] * 30 + ["a.png"])),
    OddFolder("folder named as an image", lambda root: (root / "a.png").mkdir()),
    OddFolder("empty folder", lambda root: (root / "empty").mkdir()),
    OddFolder("pipe", lambda root: os.mkfifo(root / "a.png"), left_out={"a.png": "a pipe"}),
    OddFolder("socket", _socket, left_out={"socket.png": "a socket"}),
    OddFolder(
        "link to a device", link("a.png", "/dev/null"), left_out={"a.png": "a device"}
    ),
    OddFolder(
        "link to nothing", link("a.png", "nowhere"), left_out={"a.png": "a broken link"}
    ),
    OddFolder("link to itself", link("a.png", "a.png"), left_out={"a.png": "a broken link"}),
    OddFolder("link to an image", link("a.png", "good.png"), found=("a.png",)),
    OddFolder("link to the folder itself", link("loop", "."), left_out={"loop": SEARCHED}),
    OddFolder(
        "link to a folder beside it",
        both(files("b/1.png"), link("a", "b")),
        found=("b/1.png",),
        left_out={"a": SEARCHED},
    ),
    OddFolder(
        "two links to one folder elsewhere",
        both(
            files("../elsewhere/1.png"),
            link("a", "../elsewhere"),
            link("b", "../elsewhere"),
        ),
        found=("a/1.png",),
        left_out={"b": "a folder that is searched already"},
    ),
    OddFolder("output folder in the searched one", files("out/1.png"),
              left_out={"out": "the output folder"}),
    OddFolder("folder named twice", files("a.png"), found=("a.png",), arguments=(".", ".")),
    OddFolder("image named twice", files(), arguments=("good.png", "./good.png")),
    OddFolder("pattern", files("a.png", "b.txt"), found=("a.png",),
              left_out={"b.txt": "no image file (.txt)"}, arguments=("*",)),
    OddFolder("pattern `**` over links in a circle", both(files("a/1.png"), link("a/b", "..")),
              found=("a/1.png",), left_out={"a/b/in": "a folder that is searched already"},
              arguments=("**",)),
    OddFolder("folder and a folder in it", files("a/1.png"), found=("a/1.png",),
              arguments=("a", ".", "a")),
    OddFolder("pattern that is a folder's name", files("[a]/1.png", "a/2.png"), good=False,
              found=("[a]/1.png",), arguments=("[a]",)),
    OddFolder("pattern that matches nothing", files(), good=False, arguments=("*.jpg",),
              left_out={"*.jpg": "matches nothing"}),
    OddFolder("name that does not exist", files(), good=False, arguments=("none.png",),
              left_out={"none.png": "does not exist"}),
    OddFolder("name longer than any", files(), good=False, arguments=("n" * 300,),
              left_out={"n" * 300: "does not exist"}),
]  # fmt: skip
