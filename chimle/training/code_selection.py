"""Which codes a step trains on: those a search chose, moved a little where asked, or none."""

from collections.abc import Sequence

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.perceptual.lpips import Distance
from chimle.perceptual.random_projection import RandomProjection
from chimle.search.chunking import plan_chunks
from chimle.search.codes import codes_at, draw
from chimle.search.flat import search_whole
from chimle.search.hierarchical import Choice, search
from chimle.settings import RunSettings
from chimle.tower.generator import LevelCode, Tower
from chimle.training.losses import supervised_levels


def candidate_distance(settings: RunSettings, perceptual: Distance) -> Distance:
    """What candidates are compared by: the distance itself, or the published approximation."""
    if settings.search.distance == "exact":
        return perceptual
    return RandomProjection(perceptual, settings.search.projections)


def chunks_at_once(
    settings: RunSettings, tower: Tower, perceptual: Distance, batch: Batch
) -> tuple[int, ...]:
    """Candidates per level that a search may judge at once within `search.memory`."""
    if settings.train.codes == "none":
        return (1,) * settings.tower.levels
    memory = settings.search.memory * 2**20
    return plan_chunks(tower, perceptual, batch.conditioning, memory)


def choose_codes(
    settings: RunSettings,
    tower: Tower,
    distance: Distance,
    batch: Batch,
    round_: int,
    chunks: Sequence[int],
) -> Choice:
    """Search the codes of a round's images, in the order that the settings name.

    Args:
        settings: of the run.
        tower: whose codes they are.
        distance: what candidates are compared by.
        batch: B images.
        round_: of the search.
        chunks: candidates judged at once, per level (`chunks_at_once`).
    """
    own, seed = settings.search, settings.seed
    if settings.train.codes == "none":
        nothing = torch.zeros(len(batch), 0, device=batch.targets[0].device)
        return Choice(nothing.to(torch.int64), nothing)
    if own.order == "hierarchical":
        return search(
            tower,
            distance,
            batch,
            own.candidates,
            seed=seed,
            round_=round_,
            chunks=chunks,
        )
    levels = supervised_levels(settings)
    count = sum(own.candidates)
    return search_whole(
        tower, distance, batch, count, levels, seed=seed, round_=round_, chunk=min(chunks)
    )


def candidates_judged(settings: RunSettings) -> int:
    """Candidate pictures per image and round."""
    return sum(settings.search.candidates) if settings.train.codes == "searched" else 0


def zero_codes(tower: Tower, count: int, device: torch.device) -> list[LevelCode]:
    """Codes of zeros for `count` images."""
    return [
        LevelCode(
            torch.zeros(count, style, device=device),
            torch.zeros(count, channels, height, width, device=device),
        )
        for style, channels, height, width in tower.code_shapes()
    ]


def perturbed(
    codes: Sequence[LevelCode], batch: Batch, settings: RunSettings, step: int
) -> list[LevelCode]:
    """The chosen codes with a little fresh noise, named by the run's step."""
    zero = torch.zeros((len(batch), 1), dtype=torch.int64, device=codes[0].style.device)
    moved = []
    for level, code in enumerate(codes):
        shape = (code.style.shape[1], *code.noise.shape[1:])
        noise = draw(
            shape,
            batch.keys,
            zero,
            level=level,
            seed=settings.seed,
            round_=step,
            purpose="perturb",
        )
        size = settings.train.code_noise
        moved.append(LevelCode(code.style + size * noise.style, code.noise + size * noise.noise))
    return moved


def step_codes(
    settings: RunSettings, tower: Tower, part: Batch, indices: Tensor, *, round_: int, number: int
) -> list[LevelCode]:
    """The codes of a step's images, one entry per level.

    Args:
        settings: of the run.
        tower: whose codes they are.
        part: B images.
        indices: (B, L) int64, what the round's search chose for them.
        round_: of the search.
        number: of the step in the run; names the perturbation.
    """
    if settings.train.codes == "none":
        return zero_codes(tower, len(part), part.targets[0].device)
    codes = codes_at(tower.code_shapes(), part.keys, indices, seed=settings.seed, round_=round_)
    return perturbed(codes, part, settings, number) if settings.train.code_noise else codes
