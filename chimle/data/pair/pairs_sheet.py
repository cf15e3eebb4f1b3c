"""Contact sheet of a task's pairs, for a visual check."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.data.dataset import PairIndex, read_manifest
from chimle.data.even_spacing import evenly_spaced
from chimle.data.pair.splits import SPLITS
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import png_bytes, read_rgb

LARGEST_BYTES = 300_000
"""Upper limit of a sheet's size."""
ATTEMPTS = (
    *((side, False) for side in (96, 80, 64)),
    *((side, True) for side in (96, 80, 64, 48, 32)),
)
"""Side of the images in pixels, and whether to use a palette: the first below the limit is taken.
A palette is preferred to images too small to see."""
PAIRS_SHOWN = 6
"""Pairs of each split."""
CAMERAS_SHOWN = 8
"""Cameras, those with nights first."""
FRAMES_SHOWN = 4
"""Frames of each class per camera."""
CLASSES = ("night", "dusk", "day")


def _square(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _pair_rows(pairs: Path, counts: dict[str, int]) -> tuple[list[list[np.ndarray]], list[str]]:
    rows: list[list[np.ndarray]] = []
    titles: list[str] = []
    for split in SPLITS:
        if not counts.get(split):
            continue
        index = PairIndex(pairs, split)
        shown = [index[i] for i in evenly_spaced(len(index), PAIRS_SHOWN)]
        rows.append([image for pair in shown for image in (pair.input, pair.target)])
        titles.append(f"{split}: {len(index):,} pairs, input and target side by side")
    return rows, titles


def _camera_title(name: str, counts: dict[str, Any]) -> str:
    left_out = sum(counts["rejected"].values())
    frames = ", ".join(
        f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind in CLASSES
    )
    return f"{name}: {frames}; {left_out} left out"


def _camera_rows(raw: Path, report: dict[str, Any]) -> tuple[list[list[np.ndarray]], list[str]]:
    """A row per camera: nights, dusks and days, each in columns of their own."""
    cameras: dict[str, Any] = report["cameras"]
    rows: list[list[np.ndarray]] = []
    titles: list[str] = []
    blank = np.full((8, 8, 3), 255, dtype=np.uint8)
    for name in sorted(cameras, key=lambda name: (not cameras[name]["night"], name)):
        if len(rows) == CAMERAS_SHOWN:
            break
        row: list[np.ndarray] = []
        for kind in CLASSES:
            files = cameras[name]["shown"][kind]
            row += [
                _square(read_rgb(raw / files[i])) for i in evenly_spaced(len(files), FRAMES_SHOWN)
            ]
            row += [blank] * (FRAMES_SHOWN - min(FRAMES_SHOWN, len(files)))
        rows.append(row)
        titles.append(_camera_title(name, cameras[name]))
    return rows, titles


def _stacked(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    width = max(upper.shape[1], lower.shape[1])
    pages = [
        np.pad(page, ((0, 0), (0, width - page.shape[1]), (0, 0)), constant_values=255)
        for page in (upper, lower)
    ]
    return np.concatenate(pages)


def _few_colours(sheet: np.ndarray) -> bytes:
    """PNG with a palette of 256 colours: a third of the bytes."""
    buffer = io.BytesIO()
    palette = Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE)
    palette.save(buffer, format="PNG", compress_level=9)
    return buffer.getvalue()


def pairs_sheet(pairs: Path, raw: Path) -> bytes:
    """PNG of some pairs of each split and, for cameras, of frames of each class.

    Args:
        pairs: a folder of pairs.
        raw: the fetched source of the pairs.

    Raises:
        UserError: a folder is damaged.
    """
    manifest = read_manifest(pairs)
    rows, titles = _pair_rows(pairs, manifest["counts"])
    camera_rows: list[list[np.ndarray]] = []
    camera_titles: list[str] = []
    if "timelapse" in manifest:
        camera_rows, camera_titles = _camera_rows(raw, manifest["timelapse"])

    @cache
    def drawn(side: int) -> np.ndarray:
        sheet = contact_sheet(rows, side, titles=titles)
        if not camera_rows:
            return sheet
        headings = [kind for kind in CLASSES for _ in range(FRAMES_SHOWN)]
        return _stacked(sheet, contact_sheet(camera_rows, side, headings, camera_titles))

    for side, few in ATTEMPTS:
        content = _few_colours(drawn(side)) if few else png_bytes(drawn(side))
        if len(content) < LARGEST_BYTES:
            break
    return content
