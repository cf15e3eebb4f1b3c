"""Sampling: one forward pass per sample; its codes follow from (seed, image key, code numbers)."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from chimle.data.batch import pair_conditioning
from chimle.data.dataset import Pair, image_key
from chimle.errors import UserError
from chimle.images.jpeg import JpegIntervals
from chimle.images.pyramid import to_uint8
from chimle.search.codes import code_keys, draw_keyed
from chimle.tasks import Task
from chimle.tower.blocks import materialised
from chimle.tower.generator import Tower
from chimle.tower.state import TowerState, select_state


def plain_names(count: int, levels: int, first: int = 0) -> Tensor:
    """(count, levels) int64 code numbers: sample j, from `first` on, has code j at every level."""
    return torch.arange(first, first + count).unsqueeze(1).expand(-1, levels)


def sample_pairs(
    tower: Tower,
    task: Task,
    pairs: Iterable[Pair],
    count: int,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> Iterator[tuple[Pair, np.ndarray]]:
    """Draw S samples for the input of each pair, whose id determines the codes.

    Memory holds one pair's samples at a time. Until the last one is drawn, the tower's weights may
    not change.

    Args:
        tower: the generator.
        task: the pairs'.
        pairs: of the tower's resolution.
        count: S, samples of each input.
        seed: seed of the samples.
        batch_size: samples in one forward pass.

    Yields:
        Each pair with its samples (S, H, W, 3) uint8.

    Raises:
        UserError: the tower's outputs are no numbers.
    """
    device = next(tower.parameters()).device
    names = plain_names(count, tower.settings.levels)
    with materialised(tower):  # Once for all pairs; each call of `sample` would do it again.
        for pair in pairs:
            levels, jpeg = pair_conditioning(task, tower.settings, [pair])
            (images,), finite = sample(
                tower,
                [level.to(device) for level in levels],
                [image_key(pair.id)],
                names,
                jpeg=None if jpeg is None else jpeg.to(device),
                seed=seed,
                batch_size=batch_size,
            )
            check_finite(bool(finite), f"for {task.name}")
            yield pair, images


def stacked_samples(drawn: Iterable[tuple[Pair, np.ndarray]]) -> np.ndarray:
    """What `sample_pairs` yields of N pairs, as one array (N, S, H, W, 3) of samples."""
    return np.stack([images for _, images in drawn])


def check_finite(finite: bool, model: str) -> None:
    """`UserError` that names the model unless all that a tower drew were finite numbers.

    Weights too large overflow: what they draw is no number, which would become black.
    """
    if not finite:
        raise UserError(
            f"the model {model} computes values that are no numbers, so its weights are too large: "
            "make it again, or use another one"
        )


def _raw(state: TowerState) -> Tensor:
    """A prefix's raw output, in which no conversion of colours hides what is no number."""
    assert state.image is not None
    return state.image


@torch.no_grad()
def sample(
    tower: Tower,
    conditioning: Sequence[Tensor],
    keys: Sequence[int],
    names: Tensor,
    *,
    jpeg: JpegIntervals | None = None,
    seed: int = 0,
    batch_size: int = 16,
) -> tuple[np.ndarray, Tensor]:
    """Draw S samples for each of N conditioning images.

    Args:
        tower: the generator.
        conditioning: per level (N, C, h, w) in [0, 1].
        keys: N image keys; key, seed and code numbers determine the codes.
        names: (S, L) int64 code numbers per level (`plain_names`).
        jpeg: quantisation of the N inputs, where they are decoded JPEG images.
        seed: seed of the samples.
        batch_size: samples in one forward pass.

    Returns:
        (N, S, H, W, 3) uint8, and () bool on the device: whether all were finite numbers before.
    """
    shapes = tower.code_shapes_for(conditioning)
    device = conditioning[0].device
    images, finite = [], torch.ones((), dtype=torch.bool, device=device)
    words = code_keys(keys, len(shapes), seed=seed, purpose="sample", device=device)
    with materialised(tower):
        start = tower.begin(conditioning, jpeg)
        for row in range(len(keys)):
            prefix = select_state(start, torch.tensor([row], device=device))
            for part in names.to(device).split(batch_size):
                state = prefix
                for level, shape in enumerate(shapes):
                    numbers = part[:, level].unsqueeze(0)
                    code = draw_keyed(shape, words[row : row + 1, level], numbers)
                    image, state = tower.step(level, state, code)
                finite &= _raw(state).isfinite().all()
                images.append(to_uint8(image))
    flat = np.concatenate(images)
    return flat.reshape(len(keys), len(names), *flat.shape[1:]), finite
