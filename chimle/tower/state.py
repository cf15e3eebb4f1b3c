"""What the levels of a tower so far leave for the next one, and rows of it.

A state is a tuple of tensors, none of which is changed in place: several may share their tensors.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from chimle.images.jpeg import JpegIntervals, joined_intervals


class TowerState(NamedTuple):
    """A prefix: what the levels so far leave for the next one.

    Attributes:
        conditioning: per level (C, h, w) of every image, as given to `begin`: B rows, or one for
            all K candidates of an image, who share it.
        styles: mapped styles (B, mapping_width) of the levels so far.
        feature: (B, width, h, w) feature that the last level drew from; None before the first.
        image: (B, 2 or 3, h, w) in [-1, 1], raw output of the last level; for super-resolution
            after agreement with the input, as the next level sees it; None before the first.
        jpeg: the inputs' quantisation, as given to `begin`, with the rows of `conditioning`.
    """

    conditioning: tuple[Tensor, ...]
    styles: tuple[Tensor, ...]
    feature: Tensor | None
    image: Tensor | None
    jpeg: JpegIntervals | None = None


def select_state(state: TowerState, rows: Tensor) -> TowerState:
    """The given rows (int64) of a state, in that order."""
    shared = 1 if state.image is None else len(state.image) // len(state.conditioning[0])
    owners = rows if shared == 1 else rows // shared
    return TowerState(
        tuple(tensor[owners] for tensor in state.conditioning),
        tuple(tensor[rows] for tensor in state.styles),
        None if state.feature is None else state.feature[rows],
        None if state.image is None else state.image[rows],
        None if state.jpeg is None else state.jpeg.rows(owners),
    )


def merged_states(mask: Tensor, new: TowerState, old: TowerState) -> TowerState:
    """Row by row `new` where `mask` (B,) holds, else `old`: two states of the same images."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b)

    return TowerState(
        conditioning=old.conditioning,
        styles=tuple(pick(a, b) for a, b in zip(new.styles, old.styles, strict=True)),
        feature=None
        if new.feature is None or old.feature is None
        else pick(new.feature, old.feature),
        image=None if new.image is None or old.image is None else pick(new.image, old.image),
        jpeg=old.jpeg,
    )


def joined_states(states: Sequence[TowerState]) -> TowerState:
    """States of consecutive images as one."""

    def join(tensors: Sequence[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(present) if present else None

    return TowerState(
        conditioning=tuple(map(torch.cat, zip(*(s.conditioning for s in states), strict=True))),
        styles=tuple(map(torch.cat, zip(*(s.styles for s in states), strict=True))),
        feature=join([state.feature for state in states]),
        image=join([state.image for state in states]),
        jpeg=joined_intervals([state.jpeg for state in states]),
    )
