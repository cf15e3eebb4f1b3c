"""What the gradient steps of a round take: tensors on the device, selected by row."""

from typing import NamedTuple

from torch import Tensor
from torch.utils._pytree import tree_map

from chimle.data.batch import Batch
from chimle.device import nhwc
from chimle.images.jpeg import JpegIntervals
from chimle.perceptual.distance import Features


class StepInputs(NamedTuple):
    """A round's images, or those of a step, as tensors of N rows.

    Attributes:
        conditioning: per level (N, C, h, w) in [0, 1].
        targets: per level (N, 3, h, w) in [0, 1].
        features: per level the targets' features; None: they are computed in the step.
        keys: (N, L, 2) int64 key words of the codes.
        indices: (N, L) int64, what the round's search chose; (N, 0) without a search.
        tables: (N, 2, 8, 8) quantisation steps of JPEG inputs; None where none is known.
    """

    conditioning: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    features: tuple[Features, ...] | None
    keys: Tensor
    indices: Tensor
    tables: Tensor | None

    def rows(self, index: Tensor) -> "StepInputs":
        """Those rows, in that order."""
        selected: StepInputs = tree_map(
            lambda part: part[index] if isinstance(part, Tensor) else part, self
        )
        return selected

    @property
    def jpeg(self) -> JpegIntervals | None:
        """The quantisation of the inputs."""
        return None if self.tables is None else JpegIntervals(self.tables)


def step_inputs(
    batch: Batch, features: list[Features] | None, keys: Tensor, indices: Tensor
) -> StepInputs:
    """A round's inputs of steps, in channels_last."""

    def laid_out(images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(map(nhwc, images))

    return StepInputs(
        laid_out(batch.conditioning),
        laid_out(batch.targets),
        None if features is None else tuple(features),
        keys,
        indices,
        None if batch.jpeg is None else batch.jpeg.tables,
    )
