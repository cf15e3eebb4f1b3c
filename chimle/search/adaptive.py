"""Whose codes to search again (Adaptive IMLE, Aghabozorgi and others, ICML 2023).

A code that was searched pulls its image towards the target. Once it has come much nearer, another
code may fit as well, and a search pays; before that it would mostly replace a pull that has not yet
had its effect.
"""

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.perceptual.distance import Distance
from chimle.search.codes import codes_at
from chimle.search.hierarchical import Choice, slices
from chimle.tower.blocks import materialised
from chimle.tower.generator import Tower


@torch.no_grad()
def came_nearer(
    tower: Tower,
    perceptual: Distance,
    batch: Batch,
    keys: Tensor,
    choice: Choice,
    share: float,
    at_once: int,
) -> Tensor:
    """Whether the images of chosen codes have come nearer to their targets: (B,) bool.

    Args:
        tower: the generator; used as it is.
        perceptual: what the codes were chosen by.
        batch: B images with their conditioning and target pyramids.
        keys: (B, L, 2) int64, which name the codes (`chimle.search.codes.code_keys`).
        choice: the codes, and their distances when they were chosen.
        share: of the finest level's distance then, below which an image counts as nearer.
        at_once: images computed at once.
    """
    distances = [torch.empty(0, device=keys.device)]
    with materialised(tower):
        for rows in slices(len(batch), at_once):
            part = batch.select(range(rows.start, rows.stop))
            codes = codes_at(
                tower.code_shapes_for(part.conditioning), keys[rows], choice.indices[rows]
            )
            finest = tower(part.conditioning, codes, part.jpeg)[-1]
            distances.append(perceptual.distance(finest, perceptual.features(part.targets[-1])))
    return torch.cat(distances) < share * choice.distances[:, -1].to(keys.device)
