"""bf16 compared with fp32: images, losses, gradients and choices agree within tolerances."""

from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.perceptual.lpips import Perceptual
from chimle.search.codes import code_keys, codes_at
from chimle.search.hierarchical import search
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
from chimle.training.losses import level_losses
from tests.search.test_hierarchical import CANDIDATES, batch_for, small_tower

IMAGE_DIFFERENCE = 0.005
"""Largest mean difference of images in [0, 1]."""
LOSS_DIFFERENCE = 0.01
"""Largest relative difference of losses per level."""
GRADIENT_COSINE = {Wiring.GENERIC: 0.98, Wiring.SUPER_RESOLUTION: 0.98, Wiring.COLOURIZATION: 0.8}
"""Smallest cosine similarity of both gradients of all weights. Half of an untrained
colourization's colours lie beyond the gamut, and the gradient ends at its border."""
AGREEING_COSINE = {
    Wiring.GENERIC: 0.98,
    Wiring.SUPER_RESOLUTION: 0.95,
    Wiring.COLOURIZATION: 0.4,
}
"""The same for towers that agree with their input: what the input determines has no gradient, and
what is left, fine detail or chroma inside the gamut, is what bf16 rounds most. How the colours at
the border are rounded depends on the instruction set: 0.53 with SSE4.1, 0.70 with AVX2."""
EXCESS = 0.02
"""Largest excess distance of a chosen code, as a share of the smallest distance."""


def bf16(enabled: bool) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


def mid_tones(tower: Tower, wiring: Wiring) -> Batch:
    """Images with values between 0.25 and 0.75.

    In dark images a colourization divides by almost zero, and its colours leave the gamut at the
    smallest change.
    """
    batch = batch_for(tower, wiring)
    inputs, targets = (
        tuple(x / 2 + 0.25 for x in group) for group in (batch.conditioning, batch.targets)
    )
    return Batch(batch.keys, inputs, targets)


def losses_and_gradient(
    tower: Tower, perceptual: Perceptual, batch: Batch, low: bool
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Images, losses per level, and the gradient of the losses' sum over all weights."""
    tower.zero_grad()
    names = torch.zeros(len(batch), 3, dtype=torch.int64)
    keys = code_keys(batch.keys, tower.settings.levels, seed=3, round_=1)
    codes = codes_at(tower.code_shapes(), keys, names)
    with bf16(low):
        images = tower(batch.conditioning, codes)
        targets = [perceptual.features(target) for target in batch.targets]
        losses = level_losses(images, perceptual, targets, range(3))
    losses.sum().backward()
    gradients = [p.grad.flatten() for p in tower.parameters() if p.grad is not None]
    return images, losses.detach(), torch.cat(gradients)


@pytest.mark.parametrize("agreement", ["exact", "none"])
@pytest.mark.parametrize("wiring", list(Wiring))
def test_a_bf16_step_is_close_to_fp32(
    wiring: Wiring, agreement: str, perceptual: Perceptual
) -> None:
    tower = small_tower(wiring)
    tower.settings = tower.settings.model_copy(update={"agreement": agreement})
    batch = mid_tones(tower, wiring)
    exact, low = (losses_and_gradient(tower, perceptual, batch, low) for low in (False, True))
    for first, second in zip(exact[0], low[0], strict=True):
        assert second.dtype == torch.float32
        assert float((first - second).abs().mean()) < IMAGE_DIFFERENCE
    torch.testing.assert_close(low[1], exact[1], rtol=LOSS_DIFFERENCE, atol=0)
    least = AGREEING_COSINE if agreement == "exact" else GRADIENT_COSINE
    assert float(torch.cosine_similarity(exact[2], low[2], dim=0)) > least[wiring]


@pytest.mark.parametrize("wiring", list(Wiring))
def test_codes_chosen_in_bf16_are_close_to_the_nearest(
    wiring: Wiring, perceptual: Perceptual
) -> None:
    tower = small_tower(wiring)
    batch = batch_for(tower, wiring)
    exact = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[8] * 3)
    with bf16(True):
        low = search(tower, perceptual, batch, CANDIDATES, seed=3, round_=1, chunks=[8] * 3)
    assert low.distances.dtype == torch.float32
    # A level is compared where the same codes lead to it.
    same = (exact.indices == low.indices).int().cumprod(dim=1)
    reached = torch.cat((torch.ones_like(same[:, :1]), same[:, :-1]), dim=1).bool()
    assert (low.distances <= exact.distances * (1 + EXCESS))[reached].all()
