"""Images in folders, and what our own folders say of themselves, damaged."""

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from tests.data.bad_inputs import BadInput
from tests.support.world import TASK, World, png


def _absurd() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + png()[33:]


def _image(what: str, says: str, content: bytes, name: str = "bad.png", **fields: Any) -> BadInput:
    return BadInput("Images", what, says, lambda world: world.image(content, name, **fields))


def _all_damaged(world: World) -> None:
    world.image(b"x", damaged="skip")
    (world.root / "photos" / "good.png").write_bytes(b"y")


def _header(
    folder: str, file: str, change: Callable[[dict[str, Any]], object]
) -> Callable[[World], None]:
    """Change a header's JSON."""

    def edit(content: bytes) -> bytes:
        header = json.loads(content)
        change(header)
        return json.dumps(header).encode()

    return lambda world: world.edit(f"data/{folder}/{TASK}/{file}", edit)


def _lines(
    folder: str, file: str, lines: str, content: bytes | Callable[[bytes], bytes]
) -> Callable[[World], None]:
    """Replace a folder's lines and make its header agree with them."""

    def make(world: World) -> None:
        path = world.root / "data" / folder / TASK / lines
        after = content(path.read_bytes()) if callable(content) else content
        path.write_bytes(after)
        sha256 = hashlib.sha256(after).hexdigest()
        _header(folder, file, lambda header: header["lines"].update(sha256=sha256))(world)

    return make


def _bytes(folder: str, file: str, content: bytes) -> Callable[[World], None]:
    return lambda world: world.edit(f"data/{folder}/{TASK}/{file}", lambda _before: content)


def _without(folder: str, file: str) -> Callable[[World], None]:
    return lambda world: (world.root / "data" / folder / TASK / file).unlink()


def _raw(what: str, says: str, make: Callable[[World], object]) -> BadInput:
    return BadInput("Manifests of what was fetched", what, says, make, "pair")


def _pairs(what: str, says: str, make: Callable[[World], object]) -> BadInput:
    return BadInput("Manifests of pairs", what, says, make, "train")


_SOURCE = "…/source.json is damaged: run stages.fetch again"
_FILE = "…/files.jsonl, line 1, is damaged: run stages.fetch again"
_PAIR = "…/pairs.jsonl, line 1, is damaged: run stages.pair again"
_MANIFEST = "…/manifest.json is damaged: run stages.pair again"


def _record(**fields: Any) -> bytes:
    record = {"file": "targets/good.png", "sha256": "0" * 64, "width": 40, "height": 36}
    record["phash"] = "0" * 16
    return json.dumps({**record, **fields}).encode() + b"\n"


def _renamed(key: str, value: str) -> Callable[[bytes], bytes]:
    """Every pair's record with another value."""

    def edit(content: bytes) -> bytes:
        records = [json.loads(line) for line in content.splitlines()]
        return b"".join(json.dumps({**record, key: value}).encode() + b"\n" for record in records)

    return edit


TABLE = [
    _image(
        "a PNG that is cut off",
        "…/bad.png is damaged or no image (…): replace it",
        png((200, 200))[:-200],
    ),
    _image(
        "a text file named as an image",
        "…/bad.jpg is damaged or no image (…): replace it",
        b"hello",
        "bad.jpg",
    ),
    _image("an empty image", "…/bad.png is damaged or no image (…): replace it", b""),
    _image(
        "an image that claims 10,000,000,000 pixels",
        "…/bad.png has more than the 200,000,000 pixels that are read: reduce it first",
        _absurd(),
    ),
    _image(
        "two images of one name",
        "…/good.png and …/good.jpg have the same name but for the ending: rename one",
        png(),
        "good.jpg",
    ),
    _image(
        "a folder that is missing",
        "`source.path`: …/none is no directory: name one with images",
        png(),
        path="none",
    ),
    _image(
        "a pattern that matches files only",
        "`source.path`: no folder matches photos/*.png below …",
        png(),
        path="photos/*.png",
    ),
    _image(
        "a star that matches nothing",
        "`source.path`: no folder matches photos/*/high below …",
        png(),
        path="photos/*/high",
    ),
    _image(
        "images whose names differ in case",
        "…/good.png and …/GOOD.png have the same name but for case: rename one",
        png(),
        "GOOD.png",
    ),
    _image(
        "an image whose folder and file make a name that is too long",
        "…bad.png is too long: rename it",
        png(),
        "/".join(["n" * 250] * 4 + ["badbadbad.png"]),
    ),
    *(
        _image(f"an image whose {where} {what}", f"…/{shown} {what}: rename it", png(), name)
        for where, name, shown in (
            ("name", "{}.png", "{}.png"),
            ("folder's name", "{}/a.png", "{}/a.png"),
        )
        for what, name, shown in (
            ("is no UTF-8", name.format("n\udcff"), shown.format(r"n\udcff")),
            ("has a backslash", name.format("a\\b"), shown.format(r"a\b")),
            ("has a control character", name.format("a\nb"), shown.format(r"a\x0ab")),
        )
    ),
    _image(
        "a folder that `*` matches whose name has a backslash",
        r"…/a\b/bad.png has a backslash: rename it",
        png(),
        "a\\b/bad.png",
        path="photos/*",
    ),
    _image(
        "nothing but other files",
        "`source.path`: photos/* holds no images (2 files are left out: 1 no image file (.txt); "
        "1 beside the folders of the pattern)",
        b"",
        "folder/notes.txt",
        path="photos/*",
    ),
    _image(
        "an input that is missing",
        "`source`: good has no input of the same name (and 1 more): add it or remove the other",
        png(),
        "night/bad.png",
        path="photos",
        inputs="photos/night",
    ),
    _image(
        "annotations that are missing",
        "`source.annotations`: …/photos/none.csv is no file: name a text file",
        png(),
        annotations="photos/none.csv",
    ),
    BadInput(
        "Images",
        "nothing but damaged images",
        "`source`: every image is damaged, e.g. …",
        _all_damaged,
    ),
    _raw(
        "no header",
        "…/source.json does not exist: run stages.fetch first",
        _without("raw", "source.json"),
    ),
    _raw("a header that is no JSON", _SOURCE, _bytes("raw", "source.json", b"{")),
    _raw("a header that is no UTF-8", _SOURCE, _bytes("raw", "source.json", b"\xff")),
    _raw("a header that is a list", _SOURCE, _bytes("raw", "source.json", b"[]")),
    _raw(
        "a header without format", _SOURCE, _header("raw", "source.json", lambda h: h.pop("format"))
    ),
    _raw(
        "a header whose format is a word",
        _SOURCE,
        _header("raw", "source.json", lambda h: h.update(format="two")),
    ),
    _raw(
        "a header without lines", _SOURCE, _header("raw", "source.json", lambda h: h.pop("lines"))
    ),
    _raw("a header without kind", _SOURCE, _header("raw", "source.json", lambda h: h.pop("kind"))),
    _raw(
        "a header of a newer format",
        "…/source.json has format 99, not …: update this program",
        _header("raw", "source.json", lambda h: h.update(format=99)),
    ),
    _raw(
        "a header of an older format",
        "…/source.json has format 0, not …: run stages.fetch again",
        _header("raw", "source.json", lambda h: h.update(format=0)),
    ),
    _raw(
        "no lines",
        "…/files.jsonl is not what source.json says: run stages.fetch again",
        _without("raw", "files.jsonl"),
    ),
    _raw(
        "other lines",
        "…/files.jsonl is not what source.json says: run stages.fetch again",
        _bytes("raw", "files.jsonl", _record()),
    ),
    _raw("a line that is no JSON", _FILE, _lines("raw", "source.json", "files.jsonl", b"{\n")),
    _raw("a line that is a list", _FILE, _lines("raw", "source.json", "files.jsonl", b"[]\n")),
    _raw(
        "a line that leads out of the folder",
        _FILE,
        _lines("raw", "source.json", "files.jsonl", _record(file="targets/../../x.png")),
    ),
    _raw(
        "a line of another kind",
        _FILE,
        _lines("raw", "source.json", "files.jsonl", _record(file="others/x.png")),
    ),
    _raw(
        "a line without SHA-256",
        _FILE,
        _lines("raw", "source.json", "files.jsonl", _record(sha256=None)),
    ),
    _raw(
        "a line whose width is a word",
        _FILE,
        _lines("raw", "source.json", "files.jsonl", _record(width="40")),
    ),
    _raw(
        "an image that is missing",
        "…/targets/none.png does not exist",
        _lines(
            "raw",
            "source.json",
            "files.jsonl",
            b"".join(_record(file=f"targets/none{n}.png") for n in range(30)).replace(
                b"none0.", b"none."
            ),
        ),
    ),
    _raw(
        "an image that is damaged",
        "…/good.png is damaged or no image (…): replace it",
        _bytes("raw", "targets/good.png", b"x"),
    ),
    _pairs(
        "no header",
        "…/manifest.json does not exist: run stages.pair first",
        _without("pairs", "manifest.json"),
    ),
    _pairs("a header that is no JSON", _MANIFEST, _bytes("pairs", "manifest.json", b"nothing")),
    _pairs(
        "a header without counts",
        _MANIFEST,
        _header("pairs", "manifest.json", lambda h: h.pop("counts")),
    ),
    _pairs(
        "no lines",
        "…/pairs.jsonl is not what manifest.json says: run stages.pair again",
        _without("pairs", "pairs.jsonl"),
    ),
    _pairs(
        "a line that is no JSON", _PAIR, _lines("pairs", "manifest.json", "pairs.jsonl", b"{\n")
    ),
    _pairs(
        "a line without split",
        _PAIR,
        _lines("pairs", "manifest.json", "pairs.jsonl", b'{"id": "a"}\n'),
    ),
    _pairs(
        "an empty split",
        "…/pairs/decompression holds no pairs of the split `train`",
        _lines("pairs", "manifest.json", "pairs.jsonl", b""),
    ),
    _pairs(
        "an image outside the folder",
        "…/manifest.json names ../../x.png, outside its folder",
        _lines("pairs", "manifest.json", "pairs.jsonl", _renamed("input", "../../x.png")),
    ),
    _pairs(
        "an image that is missing",
        "…/none.png does not exist: run stages.pair again",
        _lines("pairs", "manifest.json", "pairs.jsonl", _renamed("target", "none.png")),
    ),
    _pairs(
        "an image of another SHA-256",
        "…png is not the file that its manifest names: run stages.pair again",
        _lines("pairs", "manifest.json", "pairs.jsonl", _renamed("target_sha256", "0" * 64)),
    ),
]
