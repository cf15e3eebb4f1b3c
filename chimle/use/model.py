"""A trained tower as a Python object: one picture in, many out, at any size."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chimle.data.batch import conditioning
from chimle.device import choose_device
from chimle.images.degrade import degrade
from chimle.images.pyramid import resize, to_tensor, to_uint8
from chimle.model_bundle import Bundle, load_bundle
from chimle.sampling import plain_names, sample, varied_names
from chimle.tasks import Wiring

Picture = TypeVar("Picture", Image.Image, np.ndarray, Tensor)

BATCH_PIXELS = 2**19
"""Pixels of the answers that are made at once, at least one answer."""


def picture_key(rgb: np.ndarray) -> int:
    """The image key of (H, W, 3) uint8: from its pixels, so a renamed copy samples alike."""
    digest = hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def as_array(picture: Image.Image | np.ndarray | Tensor) -> np.ndarray:
    """A PIL image, (H, W, 3) uint8 array, or (3, H, W) float tensor in [0, 1] as (H, W, 3) uint8.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(picture, Image.Image):
        return np.array(picture.convert("RGB"))
    if isinstance(picture, Tensor) and picture.ndim == 3 and picture.shape[0] == 3:
        return to_uint8(picture.unsqueeze(0))[0]
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3:
        return picture[:, :, :3]
    raise TypeError("takes a PIL image, a (H, W, 3) uint8 array or a (3, H, W) tensor in [0, 1]")


def _like(given: Picture, rgb: np.ndarray) -> Picture:
    """(H, W, 3) uint8 as the type that was given."""
    if isinstance(given, Image.Image):
        return Image.fromarray(rgb)
    return to_tensor([rgb])[0] if isinstance(given, Tensor) else rgb


def _padded(rgb: np.ndarray, multiple: int) -> np.ndarray:
    """Edges repeated to the right and below until `multiple` divides both sides."""
    height, width = rgb.shape[:2]
    below, right = -height % multiple, -width % multiple
    return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")


@dataclass(frozen=True)
class Model:
    """A loaded bundle, ready to sample. Build it with `load`."""

    bundle: Bundle
    device: torch.device

    @property
    def levels(self) -> int:
        """Number of levels of the hierarchy."""
        return self.bundle.settings.tower.levels

    def degraded(self, photograph: Image.Image | np.ndarray | Tensor) -> np.ndarray:
        """What the task's input would be for a good photograph: (h, w, 3) uint8.

        Its sides are first reduced to multiples of the task's factor.
        """
        rgb = as_array(photograph)
        definition = self.bundle.settings.definition
        factor = definition.reduction
        size = tuple(max(side - side % factor, factor) for side in rgb.shape[:2])
        fitted = resize(rgb, (size[0], size[1]))
        return degrade(fitted, definition, self.bundle.settings.pair, seed=0)[0]

    def sample(self, picture: Picture, n: int = 8, seed: int = 0, first: int = 0) -> list[Picture]:
        """Draw n answers to a picture, each from codes of its own at every level.

        Args:
            picture: PIL image, (H, W, 3) uint8 array or (3, H, W) tensor in [0, 1], of any size.
            n: how many.
            seed: seed of the samples.
            first: number of the first one; `first=7, n=1` makes sample 7 again, alone.

        Returns:
            n pictures of the given type: of the same size, or 16 times larger (super-resolution).

        Raises:
            TypeError: `picture` is of another type.
        """
        return self._draw(picture, plain_names(n, self.levels, first), seed)

    def vary(
        self, picture: Picture, number: int, keep_level: int, n: int = 8, seed: int = 0
    ) -> list[Picture]:
        """Draw n variations of one sample that keep its codes of the coarse levels.

        Args:
            picture: as for `sample`.
            number: the sample to vary.
            keep_level: how many of the coarse levels keep their code, 0 to `levels`.
            n: how many.
            seed: the seed that the sample was drawn with.

        Raises:
            TypeError: `picture` is of another type.
            ValueError: there are not so many levels.
        """
        if not 0 <= keep_level <= self.levels:
            raise ValueError(f"`keep_level` is {keep_level}, of {self.levels} levels")
        # Numbers of their own, so that the varied sample itself is not among the variations.
        names = varied_names(number, keep_level, n, self.levels, first=number + 1)
        return self._draw(picture, names, seed)

    def _draw(self, picture: Picture, names: Tensor, seed: int) -> list[Picture]:
        settings = self.bundle.settings
        rgb = as_array(picture)
        height, width = (side * settings.definition.reduction for side in rgb.shape[:2])
        inputs = rgb
        if settings.definition.wiring is not Wiring.SUPER_RESOLUTION:
            inputs = _padded(rgb, 2 ** (self.levels - 1))
        levels = conditioning(settings.definition, settings.tower, [inputs])
        drawn = sample(
            self.bundle.tower,
            [level.to(self.device) for level in levels],
            [picture_key(rgb)],
            names,
            seed=seed,
            batch_size=max(1, BATCH_PIXELS // (height * width)),
        )
        return [_like(picture, array[:height, :width]) for array in drawn[0]]


def load(folder: str | Path) -> Model:
    """Load a model bundle, on the device that `CHIMLE_DEVICE` names or the best there is.

    Raises:
        UserError: the folder is no bundle of this version, or damaged.
    """
    device = choose_device()
    return Model(load_bundle(Path(folder), str(device)), device)
