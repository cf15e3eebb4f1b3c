"""Inputs of a model: their sizes, how targets become inputs, and how JPEG files encode them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from chimle.bundles.bundle import Bundle
from chimle.device import Precision
from chimle.images.degrade import degrade
from chimle.images.jpeg import (
    JpegCode,
    JpegIntervals,
    intervals_of,
    jpeg_code_of,
    quality_tables,
)
from chimle.images.pyramid import resize
from chimle.inference.inputs import AnyImage, as_array
from chimle.inference.opened_jpeg import pixels_and_code
from chimle.settings.degradation import DegradationSettings
from chimle.settings.reading import build_settings
from chimle.tasks import Degradation


@dataclass(frozen=True)
class ModelInputs:
    """A loaded bundle, as far as its inputs are concerned.

    Attributes:
        bundle: the model.
        device: of its tower.
        precision: of its arithmetic.
        address: of the bundle, as it may be printed; empty for a model of no bundle.
    """

    bundle: Bundle
    device: torch.device
    precision: Precision = "fp32"
    address: str = ""

    @property
    def _name(self) -> str:
        """What messages call the model."""
        return self.address or f"for {self.bundle.settings.task}"

    @property
    def levels(self) -> int:
        """Number of levels of the hierarchy."""
        return self.bundle.settings.tower.levels

    @property
    def factor(self) -> int:
        """Side of a sample divided by the side of its input: 16 for super-resolution, else 1."""
        return self.bundle.settings.definition.reduction

    @cached_property
    def degradation(self) -> DegradationSettings:
        """How `degraded` makes inputs: as training's were made, by default values where the bundle
        does not record it.

        Raises:
            UserError: the bundle records something else than a degradation.
        """
        origin = f"`degradation` of the model for {self.bundle.settings.task}"
        return build_settings(DegradationSettings, self.bundle.degradation, origin)

    def degraded(self, image: AnyImage) -> np.ndarray:
        """The task's input (h, w, 3) uint8, made from a target image by the task's degradation.

        The image is first resized to multiples of `factor`. For decompression, `degraded_code` says
        how the input was encoded, which its pixels do not.

        Raises:
            UserError: a side is too long for the JPEG file that decompression's inputs are.
        """
        rgb = self.resized_to_factor(as_array(image))
        return degrade(rgb, self.bundle.settings.definition, self.degradation, seed=0)[0]

    def resized_to_factor(self, rgb: np.ndarray) -> np.ndarray:
        """Resize down to the nearest sides that `factor` divides."""
        height, width = (max(side - side % self.factor, self.factor) for side in rgb.shape[:2])
        return resize(rgb, (height, width))

    @property
    def takes_jpeg(self) -> bool:
        """Whether the model's inputs are decoded JPEG images."""
        return self.bundle.settings.definition.degradation is Degradation.JPEG

    def degraded_code(self) -> JpegCode | None:
        """How `degraded` encodes its images: the `code` of their samples; None if not as JPEG."""
        if not self.takes_jpeg:
            return None
        return JpegCode(quality_tables(self.degradation.jpeg_quality))

    def file_code(self, path: str | Path, rgb: np.ndarray) -> JpegCode | None:
        """How a file encodes the input (H, W, 3) uint8 read from it: the `code` of its samples.

        None where the file is no JPEG that decodes to it, or the model has no use for it.
        """
        return jpeg_code_of(Path(path), rgb) if self.takes_jpeg else None

    def _intervals(self, code: JpegCode | None) -> JpegIntervals | None:
        """A JPEG input's quantisation, for a model whose inputs are JPEG images.

        Raises:
            TypeError: `code` is of another type.
        """
        if not isinstance(code, JpegCode | None):
            raise TypeError(
                "`code` is what `degraded_code` or `file_code` gives, or None, not "
                f"{type(code).__name__}"
            )
        if code is None or not self.takes_jpeg:
            return None
        return intervals_of([code])

    def _input(self, image: AnyImage) -> tuple[np.ndarray, JpegCode | None]:
        """An input's pixels, and how its JPEG file encodes them, if the model has a use for it."""
        return pixels_and_code(image) if self.takes_jpeg else (as_array(image), None)
