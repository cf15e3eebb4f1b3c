"""What a person hands over becomes what a tower is conditioned on."""

import hashlib
from typing import TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from chimle.data.batch import conditioning
from chimle.images.pyramid import to_tensor, to_uint8
from chimle.settings import RunSettings
from chimle.tasks import Wiring

AnyPicture = Image.Image | np.ndarray | Tensor
Picture = TypeVar("Picture", Image.Image, np.ndarray, Tensor)


def picture_key(rgb: np.ndarray) -> int:
    """The image key of (H, W, 3) uint8: from its pixels, so a renamed copy samples alike."""
    digest = hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def as_array(picture: AnyPicture) -> np.ndarray:
    """A PIL image, (H, W, 3) uint8 array, or (3, H, W) float tensor in [0, 1] as (H, W, 3) uint8.

    Raises:
        TypeError: it is none of these.
        ValueError: it has no pixels.
    """
    rgb: np.ndarray | None = None
    if isinstance(picture, Image.Image):
        rgb = np.array(picture.convert("RGB"))
    elif isinstance(picture, Tensor) and picture.ndim == 3 and picture.shape[0] == 3:
        if picture.is_floating_point():
            rgb = to_uint8(picture.unsqueeze(0))[0]
    elif isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3:
        rgb = picture if picture.dtype == np.uint8 else None
    if rgb is None:
        raise TypeError(
            "takes a PIL image, a (H, W, 3) uint8 array or a (3, H, W) float tensor in [0, 1]"
        )
    if not rgb.size:
        raise ValueError("the picture has no pixels")
    return np.ascontiguousarray(rgb)


def like(given: Picture, rgb: np.ndarray) -> Picture:
    """(H, W, 3) uint8 as the type that was given."""
    if isinstance(given, Image.Image):
        return Image.fromarray(rgb)
    return to_tensor([rgb])[0] if isinstance(given, Tensor) else rgb


def padded(rgb: np.ndarray, multiple: int) -> np.ndarray:
    """Edges repeated to the right and below until `multiple` divides both sides."""
    height, width = rgb.shape[:2]
    below, right = -height % multiple, -width % multiple
    return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")


def conditioning_for(settings: RunSettings, rgb: np.ndarray) -> tuple[Tensor, ...]:
    """(h, w, 3) uint8 of any size to what the tower is conditioned on, per level (1, C, h, w)."""
    wanted = rgb
    if settings.definition.wiring is not Wiring.SUPER_RESOLUTION:
        wanted = padded(rgb, 2 ** (settings.tower.levels - 1))
    return conditioning(settings.definition, settings.tower, [wanted])
