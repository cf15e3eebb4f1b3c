"""Output files of `chimle sample`: their names, and protection of every other file.

A written PNG file holds, in a text chunk, the key of its input and a digest of its own pixels. Only
such a file, unchanged and of the same input, is written over.
"""

import hashlib
import json
import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from chimle.errors import UserError
from chimle.images.decode import LARGEST_PIXELS, write_png
from chimle.images.walk import FoundImage
from chimle.io.files import shortened

KEYWORD = "chimle"
"""Keyword of the text chunk."""
LONGEST_PREFIX = 180
"""Bytes of an output's name before its label; longer ones are shortened."""


def _digest(values: np.ndarray) -> str:
    """Digest of (H, W, 3 or 4) uint8."""
    shape = repr(values.shape).encode()
    return hashlib.blake2b(shape + values.tobytes(), digest_size=16).hexdigest()


def input_of(path: Path) -> str | None:
    """Key of the input that a written file belongs to; None for any other or a changed file."""
    try:
        # Pillow warns of half as many pixels as are read.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG"]) as image:
            mark: Any = json.loads(image.info.get(KEYWORD, "null"))
            if not isinstance(mark, dict) or image.width * image.height > LARGEST_PIXELS:
                return None
            unchanged = mark.get("pixels") == _digest(np.array(image))
    except (OSError, ValueError, SyntaxError, RecursionError, Image.DecompressionBombError):
        return None
    key = mark.get("input")
    return key if unchanged and isinstance(key, str) else None


def check_replaceable(path: Path, key: str) -> None:
    """Check that a file does not exist, or is an unchanged output for the input `key`.

    Raises:
        UserError: another file is there.
    """
    if not os.path.lexists(path):
        return
    found = input_of(path)
    if found == key:
        return
    what = "was not written by this program" if found is None else "belongs to another image"
    raise UserError(f"{path} exists already and {what}: name another folder by `-o` or remove it")


def write_output(
    path: Path,
    rgb: np.ndarray,
    key: str,
    alpha: np.ndarray | None = None,
    exif: bytes | None = None,
) -> None:
    """Write (H, W, 3) uint8, with (H, W) opacity, as an output for the input `key`."""
    values = rgb if alpha is None else np.dstack((rgb, alpha))
    mark = json.dumps({"input": key, "pixels": _digest(values)})
    write_png(path, rgb, alpha, exif, {KEYWORD: mark})


def _without_suffix(path: PurePath) -> PurePath:
    """`cat/001` for `cat/001.jpg`; a name of dots and a suffix is kept."""
    return path if path.stem.strip(".") == "" else path.with_name(path.stem)


def _normal(path: Path) -> Path:
    # `absolute` would keep `..`, which could lead out of the output folder.
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links


def _below_common_folder(image: FoundImage, group: Iterable[FoundImage]) -> PurePath:
    """The path of an image below the folder that all images of a group have in common."""
    common = os.path.commonpath([_normal(one.path).parent for one in group])
    return PurePath(_normal(image.path).relative_to(common))


def output_prefixes(images: Sequence[FoundImage]) -> list[PurePath]:
    """Where each image's outputs go: a path below the output folder, without label and suffix.

    The structure of a searched folder is kept: `cat/001.jpg` gives `cat/001`. Images that would
    share a prefix get the folders below their common one, and where those are the same too, their
    file name with its suffix: `a.png` and `a.tif` give `a.png` and `a.tif`.
    """
    prefixes = [_without_suffix(image.inside) for image in images]
    separations: tuple[Callable[[FoundImage, list[FoundImage]], PurePath], ...] = (
        lambda image, group: _without_suffix(_below_common_folder(image, group)),
        _below_common_folder,
    )
    for separate in separations:
        groups = defaultdict(list)
        for image, prefix in zip(images, prefixes, strict=True):
            groups[prefix].append(image)
        prefixes = [
            separate(image, groups[prefix]) if len(groups[prefix]) > 1 else prefix
            for image, prefix in zip(images, prefixes, strict=True)
        ]
    return [prefix.with_name(shortened(prefix.name, LONGEST_PREFIX)) for prefix in prefixes]
