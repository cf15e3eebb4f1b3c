"""How the JPEG file of an opened PIL image encodes the pixels that the image holds."""

import io
import os
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ImageFile

from chimle.images.jpeg import JpegCode, jpeg_code_of
from chimle.inference.inputs import AnyImage, as_array, image_key

_KNOWN = "_chimle_jpeg"
"""Attribute of an opened image: the key of the pixels that were compared with its file, and the
file's code. A stream cannot be read again once its image is loaded."""


def pixels_and_code(image: AnyImage) -> tuple[np.ndarray, JpegCode | None]:
    """`as_array` of an image, and how the JPEG file that it was opened from encodes those pixels.

    Many methods change an opened image in place (`thumbnail`, `paste`, drawing), and it goes on to
    name its file and the file's tables: the code counts where the file decodes to the pixels.

    Args:
        image: as for `as_array`. The file of a PIL image is the one at its path; a stream is read
            while the image is not loaded.

    Returns:
        (H, W, 3) uint8; None for the code of anything but a JPEG file as it decodes.

    Raises:
        TypeError: `image` is of another type.
        UserError: `image` has no pixels, or a tensor's values are NaN or lie outside [0, 1].
    """
    if not isinstance(image, ImageFile.ImageFile):
        return as_array(image), None
    file = _file_of(image)  # Before the pixels are taken: that loads the image.
    rgb = as_array(image)
    key, (known, code) = image_key(rgb), getattr(image, _KNOWN, (None, None))
    if known == key:
        return rgb, code
    code = None if file is None else jpeg_code_of(file, rgb)
    if code is not None:
        setattr(image, _KNOWN, (key, code))
    return rgb, code


def _file_of(image: ImageFile.ImageFile) -> Path | IO[bytes] | None:
    """What an image was opened from, where that can still be read."""
    if image.format not in ("JPEG", "MPO"):
        return None
    if image.tile and image.fp is not None and not image.fp.closed:
        before = image.fp.tell()
        image.fp.seek(0)
        content = io.BytesIO(image.fp.read())
        image.fp.seek(before)
        return content
    return Path(os.fsdecode(image.filename)) if image.filename else None
