"""Prediction: the samples for one input, with its target."""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from chimle.errors import UserError
from chimle.images.pyramid import enlarge

SMALLEST_SIDE = 11
"""Pixels per side at least: the window of SSIM is 11 pixels wide."""


def missed_size(given: tuple[int, ...], target: tuple[int, ...], enlarges: bool) -> str:
    """What the sizes of an input and its target must be; empty: they are.

    Args:
        given: shape of the input, (h, w, ..).
        target: shape of its target, (H, W, ..).
        enlarges: whether an input may be smaller than its target.
    """
    if not enlarges:
        return "" if given[:2] == target[:2] else "of one size"
    (rows, columns), (height, width) = given[:2], target[:2]
    fits = rows <= height and columns <= width and rows * width == columns * height
    return "" if fits else "smaller, with the same aspect"


@dataclass(frozen=True)
class Prediction:
    """One input, its samples and its target.

    Attributes:
        id: its name; predictions are sorted by it, so their order does not matter.
        samples: (S, H, W, 3) uint8, in the order of their names.
        target: (H, W, 3) uint8, the observed output.
        input: (h, w, 3) uint8; None where it is not given.
    """

    id: str
    samples: np.ndarray
    target: np.ndarray
    input: np.ndarray | None = None

    def check(self, enlarges: bool) -> None:
        """`UserError` if sizes differ or are too small for the metrics.

        Args:
            enlarges: whether the input may be smaller than the target.
        """
        height, width = self.target.shape[:2]
        if self.samples.shape[1:3] != (height, width):
            found = "x".join(map(str, self.samples.shape[2:0:-1]))
            raise UserError(
                f"{self.id}: its samples have {found} pixels and its target {width}x{height}: "
                "they must be of one size"
            )
        if min(height, width) < SMALLEST_SIDE:
            raise UserError(
                f"{self.id} has {width}x{height} pixels: sides of at least {SMALLEST_SIDE} "
                "pixels are needed"
            )
        if self.input is not None and (
            required := missed_size(self.input.shape, self.target.shape, enlarges)
        ):
            rows, columns = self.input.shape[:2]
            raise UserError(
                f"{self.id}: its input has {columns}x{rows} pixels and its target "
                f"{width}x{height}: they must be {required}"
            )

    def input_baseline(self) -> "Prediction | None":
        """The input as the only sample, enlarged where it is smaller; None without an input."""
        if self.input is None:
            return None
        sample = enlarge(self.input, (self.target.shape[0], self.target.shape[1]))
        return Prediction(self.id, sample[None], self.target, self.input)

    def digest(self) -> str:
        """SHA-256 of name, sizes and pixels of samples, target and input."""
        state = hashlib.sha256(os.fsencode(self.id))  # A file's name may be no UTF-8.
        for image in (self.samples, self.target, self.input):
            if image is not None:
                state.update(repr(image.shape).encode())
                state.update(np.ascontiguousarray(image).tobytes())
        return state.hexdigest()
