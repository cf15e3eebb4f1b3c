"""Input images of several Python types as the conditioning of a tower."""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from chimle.data.batch import conditioning, starting_images
from chimle.errors import UserError, first_line
from chimle.images.decode import upright_srgb
from chimle.images.jpeg import JpegIntervals
from chimle.images.pyramid import to_tensor, to_uint8
from chimle.settings.model_settings import ModelSettings
from chimle.tasks import Wiring

AnyImage = Image.Image | np.ndarray | Tensor
Images = Sequence[AnyImage] | np.ndarray | Tensor
"""Several images, or one array or tensor of several."""
ImageType = TypeVar("ImageType", Image.Image, np.ndarray, Tensor)

HALF_LEVEL = 0.5 / 255
"""How far outside [0, 1] a tensor's values may lie: rounding to 8 bits does not show it."""


def image_key(rgb: np.ndarray) -> int:
    """Key of an image (H, W, 3) uint8, from its pixels: a renamed copy gives the same samples."""
    digest = hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def as_array(image: AnyImage) -> np.ndarray:
    """(H, W, 3) uint8 of a PIL image, (H, W, 3) uint8 array or (3, H, W) float tensor in [0, 1].

    A PIL image of any mode is read as its file is: its EXIF orientation and its colour profile are
    applied, deep values are scaled instead of clipped, and transparent pixels are shown over white.

    Raises:
        TypeError: `image` is none of these, or a tensor that is sparse or holds no values.
        UserError: `image` has no pixels or cannot be read, or a tensor's values are NaN or lie
            outside [0, 1].
    """
    rgb: np.ndarray | None = None
    if isinstance(image, Image.Image):
        rgb = _opened(image)
    elif isinstance(image, Tensor) and image.ndim == 3 and image.shape[0] == 3:
        if image.is_floating_point() and image.layout == torch.strided and not image.is_meta:
            _check_values(image)
            rgb = to_uint8(image.unsqueeze(0))[0]
    elif isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3:
        rgb = image if image.dtype == np.uint8 else None
    if rgb is None:
        raise TypeError(
            "takes a PIL image, a (H, W, 3) uint8 array or a (3, H, W) float tensor in [0, 1]"
        )
    if not rgb.size:
        raise UserError("the image has no pixels")
    return np.ascontiguousarray(rgb)


def _opened(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of a PIL image; `UserError` where its file is damaged or closed."""
    try:
        return upright_srgb(image)[0]
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise almost anything on damaged files
        raise UserError(f"the image cannot be read ({first_line(error)}): open another") from None


def _check_values(image: Tensor) -> None:
    """`UserError` where values of a tensor are NaN, or outside [0, 1] by more than rounding."""
    if not image.numel():
        return
    lowest, highest = (float(end) for end in image.detach().float().aminmax())
    if lowest >= -HALF_LEVEL and highest <= 1 + HALF_LEVEL:
        return
    if math.isnan(lowest):
        raise UserError("the tensor holds NaN: give numbers in [0, 1]")
    raise UserError(
        f"the tensor's values lie between {lowest:.4g} and {highest:.4g}: scale them to [0, 1]"
    )


def like(given: ImageType, rgb: np.ndarray) -> ImageType:
    """(H, W, 3) uint8 in the type of `given`; a tensor is float32, on the device of `given`."""
    if isinstance(given, Image.Image):
        return Image.fromarray(rgb)
    return to_tensor([rgb])[0].to(given.device) if isinstance(given, Tensor) else rgb


def padded(images: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) right and below by repeated edges until `multiple` divides both sides."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple), "replicate")


def conditioning_for(
    settings: ModelSettings, rgb: np.ndarray, jpeg: JpegIntervals | None = None
) -> tuple[Tensor, ...]:
    """The tower's conditioning for (h, w, 3) uint8 of any size: (1, C, h, w) per level.

    Args:
        settings: of the model.
        rgb: the input.
        jpeg: its quantisation, where it is a decoded JPEG image.
    """
    images = starting_images(settings.tower, [rgb], jpeg)
    if settings.definition.wiring is not Wiring.SUPER_RESOLUTION:
        images = padded(images, 2 ** (settings.tower.levels - 1))
    return conditioning(settings.definition, settings.tower, images)
