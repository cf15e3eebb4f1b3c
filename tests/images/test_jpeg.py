"""How a JPEG file encodes its image is known whatever its metadata are."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.images.decode import read_image
from chimle.images.jpeg import JpegCode, jpeg_code_of, read_jpeg_code
from tests.images.odd_images import METADATA, OddImage, entries, exif, saved
from tests.support.jpeg import jpeg_file, smooth

ODD = [row for row in METADATA if row.what.startswith("JPEG whose EXIF block")]
PLAIN = jpeg_file(smooth(5, 48, 64), quality=60)


def code_of(path: Path) -> JpegCode | None:
    """As `chimle sample` finds it; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return jpeg_code_of(path, read_image(path).rgb)


def assert_known(path: Path, content: bytes, block: bytes) -> None:
    """A file with an EXIF block has the tables of the file without it."""
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes(content[:2] + segment + content[2:])
    found, plain = code_of(path), read_jpeg_code(Image.open(io.BytesIO(content)))
    assert found is not None
    assert plain is not None
    assert np.array_equal(found.tables, plain.tables)
    assert found.subsampling == plain.subsampling


@pytest.mark.parametrize("row", ODD, ids=lambda row: row.what)
def test_an_odd_exif_block(row: OddImage, tmp_path: Path) -> None:
    path = tmp_path / row.name
    path.write_bytes(row.make())
    found = code_of(path)
    assert found is not None
    assert found.orientation == (6 if row.shows is not None and row.shows.shape[0] == 24 else 1)


@pytest.mark.parametrize(
    "block",
    [
        entries((274, 3, 2, struct.pack("<HH", 6, 6))),
        entries((274, 9, 1, struct.pack("<i", -1))),
        entries((274, 3, 1, b"\6\0\0\0"), offset=2**32 - 1),
        exif(6)[:-5],
        b"Exif\0\0II*\0",
    ],
    ids=["two orientations", "a negative one", "far away", "cut off", "no directory"],
)
def test_more_odd_blocks(block: bytes, tmp_path: Path) -> None:
    assert_known(tmp_path / "a.jpg", PLAIN, block)


@settings(max_examples=60)
@given(
    block=st.binary(max_size=80),
    prefix=st.sampled_from([b"", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*"]),
)
def test_any_block(block: bytes, prefix: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert_known(tmp_path_factory.mktemp("exif") / "a.jpg", PLAIN, prefix + block)


JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
ADOBE = b"\xff\xee\0\x0eAdobe\0d\0\0\0\0"


@pytest.mark.parametrize("names", [b"RGB", b"\1\2\3", b"abc"])
@pytest.mark.parametrize("start", [b"", JFIF, ADOBE + b"\0", ADOBE + b"\1", JFIF + ADOBE + b"\0"])
def test_components_have_a_code_where_they_are_decoded_as_chrominance(
    tmp_path: Path, names: bytes, start: bytes
) -> None:
    """Markers, and else the components' names, say whether they are red, green and blue."""
    rgb = smooth(5, 32, 48)
    content = jpeg_file(rgb, quality=90, keep_rgb=True)
    marker = content.index(b"\xff\xee")
    content = content[:marker] + start + content[marker + 16 :]
    for old, new in zip(b"RGB", names, strict=True):  # In the headers of the frame and the scan.
        for size in (b"\x11\0", b"\0"):
            content = content.replace(bytes([old]) + size, bytes([new]) + size, 1)
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    is_rgb = bool(np.abs(read_image(path).rgb.astype(int) - rgb).mean() < 10)
    assert (code_of(path) is None) == is_rgb


def test_other_files_have_no_code(tmp_path: Path) -> None:
    """Another format, a file that is gone, one that shows something else."""
    rgb = smooth(5, 48, 64)
    (tmp_path / "a.jpg").write_bytes(saved("PNG", rgb))
    assert code_of(tmp_path / "a.jpg") is None
    assert jpeg_code_of(tmp_path / "none.jpg", rgb) is None
    (tmp_path / "b.jpg").write_bytes(PLAIN)
    assert jpeg_code_of(tmp_path / "b.jpg", 255 - rgb) is None
