"""Archives that are refused."""

# ruff: noqa: E501

import gzip
import struct
import tarfile
import zipfile

from tests.data.bad_inputs import BadInput
from tests.support.world import World, header, png, tar, zip_

GOOD = ("a.png", png())


def _named_zip(raw: bytes, *, says_utf8: bool) -> bytes:
    """A zip with a name of these very bytes."""
    stand_in = "n" * len(raw)
    content = zip_((stand_in, png()), packed=False).replace(stand_in.encode(), raw)
    if says_utf8:
        content = content.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x00\x08")
        content = content.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x08"
        )
    return content


def _encrypted() -> bytes:
    content = bytearray(zip_(GOOD, packed=False))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def _unknown_method() -> bytes:
    content = bytearray(zip_(GOOD, packed=False))
    struct.pack_into("<H", content, 8, 97)
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, 97)
    return bytes(content)


def _zip_link() -> bytes:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = 0o120777 << 16
    return zip_((info, b"/etc/passwd"))


def _zip_device() -> bytes:
    info = zipfile.ZipInfo("null.png")
    info.external_attr = 0o020666 << 16
    return zip_((info, b""))


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def _blank(content: bytes, place: int) -> bytes:
    return content[:place] + bytes(512) + content[place + 512 :]


def _unlisted(content: bytes) -> bytes:
    """The first entry's comment, as its directory has it, covers the last entry."""
    first = content.index(b"PK\x01\x02")
    changed = bytearray(content)
    struct.pack_into("<H", changed, first + 32, 46 + len("b.png"))
    return bytes(changed)


def _long_header() -> bytes:
    info = tarfile.TarInfo("long")
    info.type, info.size = b"x", 10**9
    return info.tobuf() + bytes(4096)


def _sparse() -> bytes:
    info = tarfile.TarInfo("sparse.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    content = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    content[386:482] = bytes(96)
    content[483:495] = b"%011o\0" % 10**9
    checksum = sum(content[:148]) + 8 * 32 + sum(content[156:])
    content[148:156] = b"%06o\0 " % checksum
    return bytes(content) + bytes(1024)


def _two_archives(world: World) -> None:
    for name in ("one.tar", "two.tar"):
        world.archive(tar(GOOD), f"in/{name}")
    world.source("url", archives=["in/one.tar", "in/two.tar"])


def _row(
    what: str, says: str, content: bytes, name: str = "in/bad.tar", **fields: object
) -> BadInput:
    return BadInput("Archives", what, says, lambda world: world.archive(content, name, **fields))


_INSTEAD = ": take another archive, or unpack it yourself and use `kind: folder`"
_AGAIN = ": fetch or pack it again"
_BAD = "in/bad.tar "
_ZIP = "in/bad.zip "

TABLE = [
    _row(
        "a tar that leads upwards",
        f"{_BAD}holds ../evil.png, which leads out of its folder{_INSTEAD}",
        tar(GOOD, ("../evil.png", b"x")),
    ),
    _row(
        "a tar that leads upwards from below",
        f"{_BAD}holds a/../../evil.png, which leads out of its folder{_INSTEAD}",
        tar(("a/../../evil.png", b"x")),
    ),
    _row(
        "a tar with an absolute name",
        f"{_BAD}holds /tmp/evil.png, which is absolute{_INSTEAD}",
        tar(("/tmp/evil.png", b"x")),
    ),
    _row(
        "a tar with a symbolic link",
        f"{_BAD}holds a link (link.png){_INSTEAD}",
        tar(header("link.png", tarfile.SYMTYPE, "/etc/passwd")),
    ),
    _row(
        "a tar with a hard link",
        f"{_BAD}holds a link (link.png){_INSTEAD}",
        tar(GOOD, header("link.png", tarfile.LNKTYPE, "a.png")),
    ),
    _row(
        "a tar with a device",
        f"{_BAD}holds a device or pipe (null.png){_INSTEAD}",
        tar(header("null.png", tarfile.CHRTYPE)),
    ),
    _row(
        "a tar with a pipe",
        f"{_BAD}holds a device or pipe (pipe.png){_INSTEAD}",
        tar(header("pipe.png", tarfile.FIFOTYPE)),
    ),
    _row(
        "a tar with a sparse file", f"{_BAD}holds a sparse file (sparse.png){_INSTEAD}", _sparse()
    ),
    _row(
        "a tar with one name twice",
        f"{_BAD}holds a.png, which is there twice{_INSTEAD}",
        tar(GOOD, GOOD),
    ),
    _row(
        "a tar with names that differ in case",
        f"{_BAD}holds A.PNG, which is there beside a.png, the same but for case{_INSTEAD}",
        tar(GOOD, ("A.PNG", png())),
    ),
    _row(
        "a tar with a file where it needs a folder",
        f"{_BAD}holds a.png/b.png, which needs a folder where a.png is a file{_INSTEAD}",
        tar(GOOD, ("a.png/b.png", png())),
    ),
    _row(
        "a tar with a name that is no UTF-8",
        f"{_BAD}holds n\\udcff.png, which is no UTF-8{_INSTEAD}",
        tar(("n\udcff.png", png())),
    ),
    _row(
        "a tar with a name that is too long",
        f"{_BAD}holds nnn…, which is too long{_INSTEAD}",
        tar((f"{'n' * 300}.png", png())),
    ),
    _row(
        "a tar with a line break in a name",
        f"{_BAD}holds a\\x0ab.png, which has a control character{_INSTEAD}",
        tar(("a\nb.png", png())),
    ),
    _row(
        "a tar with a drive in a name",
        f"{_BAD}holds C:/a.png, which is absolute{_INSTEAD}",
        tar(("C:/a.png", png())),
    ),
    _row(
        "a tar with too many entries",
        f"{_BAD}holds more than the 2 entries of `source.most_files`: raise that if you trust it",
        tar(*[(f"{n}.png", b"") for n in range(3)]),
        most_files=2,
    ),
    _row(
        "a tar that unpacks to too much",
        f"{_BAD}unpacks to more than the 50 bytes of `source.most_bytes`: raise that if you trust it",
        tar(GOOD),
        most_bytes=50,
    ),
    _row(
        "a small tar.gz of endless zeros",
        "in/bad.tar.gz unpacks to far more than its files: take another archive",
        gzip.compress(tar(GOOD) + bytes(2**20)),
        "in/bad.tar.gz",
        most_bytes=1000,
        most_files=1,
    ),
    _row(
        "a tar with an endless header",
        f"{_BAD}has an entry with an endless header: take another archive",
        _long_header(),
    ),
    _row(
        "a tar that is cut off in a file",
        f"{_BAD}is damaged at a.png (unexpected end of data){_AGAIN}",
        tar(GOOD)[:600],
    ),
    _row(
        "a tar that is cut off between files",
        f"{_BAD}ends early{_AGAIN}",
        tar(GOOD, ("b.png", b"x"))[: 512 + -(-len(GOOD[1]) // 512) * 512],
    ),
    _row(
        "a tar with a damaged header inside",
        f"{_BAD}is damaged inside{_AGAIN}",
        _flipped(tar(("a", b""), ("b", b"")), 520),
    ),
    _row(
        "a tar with zeros instead of a header inside",
        f"{_BAD}holds data behind its end{_AGAIN}",
        _blank(tar(GOOD, ("b.png", png())), 512 + -(-len(GOOD[1]) // 512) * 512),
    ),
    _row("a tar without files", f"{_BAD}holds no files{_AGAIN}", tar()),
    _row(
        "a tar.gz that is cut off",
        f"in/bad.tar.gz is damaged…{_AGAIN}",
        tar(GOOD, mode="w:gz")[:-30],
        "in/bad.tar.gz",
    ),
    _row(
        "a tar.gz with a wrong checksum",
        f"in/bad.tar.gz is damaged (CRC check failed…){_AGAIN}",
        _flipped(tar(GOOD, mode="w:gz"), -8),
        "in/bad.tar.gz",
    ),
    _row(
        "a tar.bz2 that is cut off",
        f"in/bad.tar.bz2 is damaged (…){_AGAIN}",
        tar(GOOD, mode="w:bz2")[:-30],
        "in/bad.tar.bz2",
    ),
    _row(
        "a tar.xz with a flipped byte",
        f"in/bad.tar.xz is damaged…{_AGAIN}",
        _flipped(tar(GOOD, mode="w:xz"), 60),
        "in/bad.tar.xz",
    ),
    _row(
        "a gzip file that is no tar",
        f"in/bad.gz is damaged…{_AGAIN}",
        gzip.compress(b"text" * 500),
        "in/bad.gz",
    ),
    _row(
        "a zip that leads upwards",
        f"{_ZIP}holds ../evil.png, which leads out of its folder{_INSTEAD}",
        zip_(("../evil.png", b"x")),
        "in/bad.zip",
    ),
    _row(
        "a zip with an absolute name",
        f"{_ZIP}holds /evil.png, which is absolute{_INSTEAD}",
        zip_(("/evil.png", b"x")),
        "in/bad.zip",
    ),
    _row(
        "a zip with backslashes",
        f"{_ZIP}holds ..\\evil.png, which has a backslash{_INSTEAD}",
        zip_(("..\\evil.png", b"x")),
        "in/bad.zip",
    ),
    _row(
        "a zip with a link", f"{_ZIP}holds a link (link.png){_INSTEAD}", _zip_link(), "in/bad.zip"
    ),
    _row(
        "a zip with a device",
        f"{_ZIP}holds a device or pipe (null.png){_INSTEAD}",
        _zip_device(),
        "in/bad.zip",
    ),
    _row(
        "a zip with names that differ in an accent's spelling",
        f"{_ZIP}holds …, which is there beside …, the same but for the encoding of an accent{_INSTEAD}",
        zip_(("\u00e9.png", b"x"), ("e\u0301.png", b"x")),
        "in/bad.zip",
    ),
    _row(
        "a zip with a name that is no UTF-8",
        f"{_ZIP}holds n\\udcff.png, which is no UTF-8{_INSTEAD}",
        _named_zip(b"n\xff.png", says_utf8=False),
        "in/bad.zip",
    ),
    _row(
        "a zip that lies about UTF-8",
        f"{_ZIP}is damaged (…){_AGAIN}",
        _named_zip(b"n\xff.png", says_utf8=True),
        "in/bad.zip",
    ),
    _row(
        "an encrypted zip",
        f"{_ZIP}is encrypted (a.png): unpack it yourself",
        _encrypted(),
        "in/bad.zip",
    ),
    _row(
        "a zip packed in an unknown way",
        f"{_ZIP}holds a.png, packed in a way that is not known (…){_INSTEAD}",
        _unknown_method(),
        "in/bad.zip",
    ),
    _row(
        "a zip with a wrong checksum",
        f"{_ZIP}is damaged at a.png (Bad CRC-32 for file 'a.png'){_AGAIN}",
        _flipped(zip_(GOOD, packed=False), 60),
        "in/bad.zip",
    ),
    _row(
        "a zip whose directory lacks an entry",
        f"{_ZIP}holds an entry that its directory lacks{_AGAIN}",
        _unlisted(zip_(GOOD, ("b.png", png()))),
        "in/bad.zip",
    ),
    _row("a zip that is cut off", f"{_ZIP}is damaged (…){_AGAIN}", zip_(GOOD)[:-40], "in/bad.zip"),
    _row(
        "a zip bomb",
        f"{_ZIP}unpacks to more than the 100,000 bytes of `source.most_bytes`: raise that if you trust it",
        zip_(("a.png", bytes(10**7))),
        "in/bad.zip",
        most_bytes=100_000,
    ),
    _row("an empty file", f"{_BAD}is empty{_AGAIN}", b""),
    _row(
        "a text file",
        f"{_BAD}is no tar, zip or image: name one that is",
        b"<html>not found</html>",
    ),
    _row("a tar without images", "`source.path`: . holds no images (…)", tar(("a.txt", b"x"))),
    BadInput(
        "Archives",
        "two archives that hold one name",
        f"in/two.tar holds a.png, which is there twice{_INSTEAD}",
        _two_archives,
    ),
]
