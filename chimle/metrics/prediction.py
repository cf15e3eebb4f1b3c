"""What is judged: the answers that anything gave to an input, beside the target observed for it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chimle.errors import UserError
from chimle.images.pyramid import enlarge

SMALLEST_SIDE = 11
"""Shorter sides have no SSIM: its window is 11 pixels wide."""


@dataclass(frozen=True)
class Prediction:
    """One input and what was answered.

    Attributes:
        id: its name; cases are sorted by it, so the order in which they come does not matter.
        answers: (S, H, W, 3) uint8, in the order of their names.
        target: (H, W, 3) uint8, the one observed.
        input: (h, w, 3) uint8; None where it is not at hand.
    """

    id: str
    answers: np.ndarray
    target: np.ndarray
    input: np.ndarray | None = None

    def check(self) -> None:
        """`UserError` where sizes do not fit, or are too small to be judged."""
        height, width = self.target.shape[:2]
        if self.answers.shape[1:3] != (height, width):
            found = "x".join(map(str, self.answers.shape[2:0:-1]))
            raise UserError(
                f"{self.id}: its answers have {found} pixels and its target {width}x{height}: "
                "they must be of one size"
            )
        if min(height, width) < SMALLEST_SIDE:
            raise UserError(
                f"{self.id} has {width}x{height} pixels: pictures from {SMALLEST_SIDE} pixels a "
                "side on can be scored"
            )

    def input_baseline(self) -> "Prediction | None":
        """The input itself as the only answer: as it is, or enlarged. None without an input."""
        if self.input is None:
            return None
        answer = enlarge(self.input, (self.target.shape[0], self.target.shape[1]))
        return Prediction(self.id, answer[None], self.target, self.input)

    def digest(self) -> str:
        """SHA-256 of name, sizes and pixels of answers, target and input."""
        state = hashlib.sha256(self.id.encode())
        for picture in (self.answers, self.target, self.input):
            if picture is not None:
                state.update(repr(picture.shape).encode())
                state.update(np.ascontiguousarray(picture).tobytes())
        return state.hexdigest()


def predictions_of(
    ids: Sequence[str],
    answers: np.ndarray,
    targets: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
) -> Iterator[Prediction]:
    """(N, S, H, W, 3) answers, N targets (H, W, 3) and N inputs (h, w, 3), all uint8, as cases."""
    for parts in zip(ids, answers, targets, inputs, strict=True):
        yield Prediction(*parts)
