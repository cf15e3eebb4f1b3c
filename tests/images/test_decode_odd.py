"""Odd but valid files: floats out of range, damaged metadata, raw files, sizes at the limit."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.errors import UserError
from chimle.images import formats
from chimle.images.decode import LARGEST_PIXELS, read_image, read_rgb

RGB = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@settings(max_examples=30)
@given(
    odd=st.sampled_from([1.02, 3.0, 900.0, -5.0, float("nan"), float("inf"), -float("inf")]),
    row=st.integers(0, 15),
    full=st.sampled_from([1.0, 255.0]),
    channels=st.sampled_from([1, 3]),
)
def test_one_pixel_changes_one_pixel(
    odd: float, row: int, full: float, channels: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """NaN is black, infinities are the ends of the range."""
    path = tmp_path_factory.mktemp("float") / "a.tif"
    values = (np.maximum(RGB[..., :channels], 20) / 255 * full).astype(np.float32).squeeze()
    photometric: Any = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(path, values, photometric=photometric)
    before = read_image(path).rgb
    assert np.abs(before - np.maximum(RGB[..., :channels], 20).astype(float)).max() <= 1
    values[row, 5] = odd * full
    tifffile.imwrite(path, values, photometric=photometric)
    after = read_image(path).rgb
    assert (before != after).any(axis=-1).sum() <= 1
    expected = 255 if odd > 1 else 0
    assert (after[row, 5] == expected).all()


def with_exif(block: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", exif=block, quality=95)
    return buffer.getvalue()


@settings(max_examples=60)
@given(block=st.binary(max_size=80), prefix=st.sampled_from([b"", b"Exif\0\0", b"Exif\0\0II*\0"]))
def test_damaged_exif_costs_only_itself(
    block: bytes, prefix: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("exif") / "a.jpg"
    path.write_bytes(with_exif(b""))
    good = read_image(path).rgb
    path.write_bytes(with_exif(prefix + block))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_image(path)
    assert read.rgb.shape in (good.shape, (24, 16, 3))
    assert sorted(read.rgb.ravel()) == sorted(good.ravel())


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_a_damaged_profile_is_ignored(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    Image.fromarray(RGB).save(path, lossless=True, quality=100, icc_profile=b"no profile" * 20)
    plain = tmp_path / f"b.{extension}"
    Image.fromarray(RGB).save(plain, lossless=True, quality=100)
    assert np.array_equal(read_image(path).rgb, read_image(plain).rgb)


def png_chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + content)
    packed = struct.pack(">I", right if checksum is None else checksum)
    return struct.pack(">I", len(content)) + kind + content + packed


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"x\0\0no deflate"),
        png_chunk(b"tEXt", b"x\0y", checksum=1),
        png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8))),
        png_chunk(b"iTXt", b"x"),
        png_chunk(b"pHYs", b""),
        png_chunk(b"eXIf", b"\xff"),
    ],
    ids=["profile", "checksum", "bomb", "text", "resolution", "exif"],
)
def test_a_damaged_png_chunk_is_ignored(chunk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:33] + chunk + content[33:])
    assert np.array_equal(read_image(path).rgb, RGB)


def test_transparent_values_of_16_bits(tmp_path: Path) -> None:
    """A transparent colour of a 16-bit file is compared with 16 bits."""
    values = np.array([[0, 1000], [1001, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=1000)
    read = read_image(tmp_path / "a.png")
    assert read.alpha is not None
    assert read.alpha.tolist() == [[255, 0], [255, 255]]
    assert read.rgb[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_transparent_values_of_few_bits(bits: int, tmp_path: Path) -> None:
    """A transparent level is one of the file's, not of the 8 bits that it is read as."""
    levels, path = np.arange(2**bits), tmp_path / "a.png"
    row = np.packbits(np.array([[int(c) for c in f"{one:0{bits}b}"] for one in levels]))
    header = struct.pack(">IIBBBBB", len(levels), 1, bits, 0, 0, 0, 0)
    for clear in levels.tolist():
        chunks = (
            png_chunk(b"IHDR", header),
            png_chunk(b"tRNS", struct.pack(">H", clear)),
            png_chunk(b"IDAT", zlib.compress(b"\0" + row.tobytes())),
            png_chunk(b"IEND", b""),
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        read = read_image(path)
        assert read.alpha is not None
        assert np.array_equal(read.alpha[0], np.where(levels == clear, 0, 255))
        grey = np.where(levels == clear, 255, levels * 255 // levels[-1])
        assert np.array_equal(read.rgb[0, :, 0], grey)


def test_raw_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    """By name, and a DNG by its content under another name."""
    preview = RGB[:8, :8]
    version = [(50706, "B", 4, (1, 4, 0, 0), True)]
    for name in ("a.dng", "a.tif", "a.NEF"):
        tifffile.imwrite(tmp_path / name, preview, photometric="rgb", extratags=version)
        with pytest.raises(UserError, match=rf"{name}.*raw files are not read: develop it"):
            read_image(tmp_path / name)


def test_a_thumbnail_before_the_image_is_skipped(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RGB[:4, :4], photometric="rgb", subfiletype=1)
        writer.write(RGB, photometric="rgb")
        writer.write(RGB[::-1], photometric="rgb")
    read = read_image(tmp_path / "a.tif")
    assert np.array_equal(read.rgb, RGB)
    assert read.frames == 3


def png_header(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", b"")


def test_the_limit_of_pixels_is_the_one_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_header(LARGEST_PIXELS // 10_000 + 1, 10_000))
    with pytest.raises(UserError, match=r"more than the 200,000,000 .*that are read: reduce"):
        read_image(path)
    path.write_bytes(png_header(LARGEST_PIXELS // 10_000, 10_000))
    with pytest.raises(UserError, match="is damaged or no image"):
        read_image(path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(40)
    (tmp_path / "a.heic").write_bytes(heic)
    with monkeypatch.context() as absent:
        absent.setattr(formats, "find_spec", lambda _: None)
        formats._registered.cache_clear()
        with pytest.raises(UserError, match=r"pip install 'chimle\[heic\]'"):
            read_image(tmp_path / "a.heic")
    formats._registered.cache_clear()


READ_WITHOUT_CODECS = """
import sys
from pathlib import Path
sys.modules["imagecodecs"] = None
from chimle.errors import guarded
from chimle.images.decode import read_image
guarded(lambda: read_image(Path(sys.argv[1])))
"""


def test_a_missing_codec_package_is_named(tmp_path: Path) -> None:
    """In a process of its own: what imagecodecs cannot load while it is hidden stays so."""
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float32) / 255, photometric="rgb")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    entry = content.index(struct.pack("<HHIH", 259, 3, 1, 1))
    struct.pack_into("<H", content, entry + 8, 5)  # says LZW
    (tmp_path / "a.tif").write_bytes(content)
    ended = subprocess.run(
        [sys.executable, "-c", READ_WITHOUT_CODECS, str(tmp_path / "a.tif")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "pip install 'chimle[tiff]'" in ended.stderr


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path):
        with pytest.raises(UserError, match="is no file"):
            read_image(path)


def test_complaints_of_c_libraries_reach_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """libtiff writes them to the descriptor, past Python; several threads decode at once."""
    paths = [tmp_path / f"damaged{number}.tif" for number in range(8)]
    for path in paths:
        tifffile.imwrite(path, RGB, compression="zlib", photometric="rgb", metadata=None)
        with tifffile.TiffFile(path) as file:
            start = file.pages.first.dataoffsets[0]
        content = path.read_bytes()
        path.write_bytes(content[: start + 9] + b"\xff" * 28 + content[start + 37 :])
    with suppress(OSError), Image.open(io.BytesIO(paths[0].read_bytes())) as image:
        image.load()
    assert "ZIPDecode" in capfd.readouterr().err, "the file is of the kind that is meant"

    def attempt(path: Path) -> None:
        with suppress(UserError):
            read_rgb(path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, paths * 5))
    assert capfd.readouterr().err == ""
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"
