"""One code for the whole image: what IMLE did before it was hierarchical (arXiv 2004.03590).

A candidate is a code for every level at once, named by one index; its image is compared as a whole.
`chimle.search.hierarchical` gets the effect of the product of its levels' candidates for their
sum; this gets the sum.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.perceptual.distance import Distance, Features
from chimle.search.codes import code_keys, codes_at, draw_keyed
from chimle.search.hierarchical import Choice, slices
from chimle.tower.blocks import materialised
from chimle.tower.generator import Tower


def _compared(
    tower: Tower,
    perceptual: Distance,
    part: Batch,
    keys: Tensor,
    indices: Tensor,
    targets: dict[int, Features],
) -> Tensor:
    """(B, K) distances of whole candidates, summed over the levels that have targets."""
    state = tower.begin(part.conditioning, part.jpeg)
    total = torch.zeros((), device=indices.device)
    for level, shape in enumerate(tower.code_shapes_for(part.conditioning)):
        image, state = tower.step(level, state, draw_keyed(shape, keys[:, level], indices))
        if level in targets:
            total = total + perceptual.distance(image, targets[level])
    return total.view(indices.shape)


def _nearest(distances: Sequence[Tensor]) -> Tensor:
    """(B,) index of the least of (B, K) distances that came in parts; of equals the first.

    A distance that is no number counts as infinite.
    """
    every = torch.cat(tuple(distances), dim=1).nan_to_num(nan=torch.inf, posinf=torch.inf)
    return every.min(dim=1).indices


@torch.no_grad()
def search_whole(
    tower: Tower,
    perceptual: Distance,
    batch: Batch,
    count: int,
    levels: Sequence[int],
    *,
    seed: int,
    round_: int,
    chunk: int,
) -> Choice:
    """Choose a whole code for every image of a batch.

    Args:
        tower: the generator; used as it is, without gradients.
        perceptual: the distance to minimise.
        batch: B images with their conditioning and target pyramids.
        count: whole candidates per image.
        levels: whose distances are summed: the finest alone in one-code IMLE.
        seed: seed of the run.
        round_: training round; each draws its own candidates.
        chunk: whole candidates compared at once; changes no choice.

    Returns:
        Indices, equal over levels, and the chosen candidate's distance at every level.
    """
    found, reached = [], []
    device = batch.targets[0].device
    keys = code_keys(batch.keys, tower.settings.levels, seed=seed, round_=round_, device=device)
    with materialised(tower):
        for members in slices(len(batch), max(1, chunk // count)):
            part = batch.select(range(members.start, members.stop))
            every = [perceptual.features(target) for target in part.targets]
            targets = {level: every[level] for level in levels}
            distances = []
            for piece in slices(count, chunk):
                indices = torch.arange(piece.start, piece.stop, device=device)
                own = indices.expand(len(part), -1)
                distances.append(_compared(tower, perceptual, part, keys[members], own, targets))
            choice = _nearest(distances).unsqueeze(1).expand(-1, len(every))
            shapes = tower.code_shapes_for(part.conditioning)
            images = tower(part.conditioning, codes_at(shapes, keys[members], choice), part.jpeg)
            own_distances = map(perceptual.distance, images, every)
            found.append(choice)
            reached.append(torch.stack(tuple(own_distances), dim=1))
    return Choice(torch.cat(found), torch.cat(reached))
