"""Input images of several Python types as the conditioning of a tower."""

import hashlib
from typing import TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from chimle.data.batch import conditioning
from chimle.images.pyramid import to_tensor, to_uint8
from chimle.settings.model_settings import ModelSettings
from chimle.tasks import Wiring

AnyImage = Image.Image | np.ndarray | Tensor
ImageType = TypeVar("ImageType", Image.Image, np.ndarray, Tensor)


def image_key(rgb: np.ndarray) -> int:
    """Key of an image (H, W, 3) uint8, from its pixels: a renamed copy gives the same samples."""
    digest = hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def as_array(image: AnyImage) -> np.ndarray:
    """(H, W, 3) uint8 of a PIL image, (H, W, 3) uint8 array or (3, H, W) float tensor in [0, 1].

    Raises:
        TypeError: `image` is none of these.
        ValueError: `image` has no pixels.
    """
    rgb: np.ndarray | None = None
    if isinstance(image, Image.Image):
        rgb = np.array(image.convert("RGB"))
    elif isinstance(image, Tensor) and image.ndim == 3 and image.shape[0] == 3:
        if image.is_floating_point():
            rgb = to_uint8(image.unsqueeze(0))[0]
    elif isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3:
        rgb = image if image.dtype == np.uint8 else None
    if rgb is None:
        raise TypeError(
            "takes a PIL image, a (H, W, 3) uint8 array or a (3, H, W) float tensor in [0, 1]"
        )
    if not rgb.size:
        raise ValueError("the image has no pixels")
    return np.ascontiguousarray(rgb)


def like(given: ImageType, rgb: np.ndarray) -> ImageType:
    """(H, W, 3) uint8 in the type of `given`."""
    if isinstance(given, Image.Image):
        return Image.fromarray(rgb)
    return to_tensor([rgb])[0] if isinstance(given, Tensor) else rgb


def padded(rgb: np.ndarray, multiple: int) -> np.ndarray:
    """Pad right and below by repeated edge pixels until `multiple` divides both sides."""
    height, width = rgb.shape[:2]
    below, right = -height % multiple, -width % multiple
    return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")


def conditioning_for(settings: ModelSettings, rgb: np.ndarray) -> tuple[Tensor, ...]:
    """The tower's conditioning for (h, w, 3) uint8 of any size: (1, C, h, w) per level."""
    whole = rgb
    if settings.definition.wiring is not Wiring.SUPER_RESOLUTION:
        whole = padded(rgb, 2 ** (settings.tower.levels - 1))
    return conditioning(settings.definition, settings.tower, [whole])
