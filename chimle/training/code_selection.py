"""Which codes a step trains on: those a search chose, moved a little where asked, or none."""

from collections.abc import Sequence

import torch

from chimle.data.batch import Batch
from chimle.device import free_bytes
from chimle.perceptual.distance import Distance
from chimle.perceptual.random_projection import RandomProjection
from chimle.search.chunking import plan_chunks
from chimle.search.codes import draw
from chimle.search.flat import search_whole
from chimle.search.hierarchical import Choice, search
from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import LevelCode, Tower
from chimle.training.losses import supervised_levels

CPU_SEARCH_BYTES = 64 * 2**20
"""Memory of a search on a CPU by default: what its caches almost hold."""
FREE_SHARE = 0.4
"""Share of a GPU's free memory that a search takes by default."""


def candidate_distance(settings: ModelSettings, perceptual: Distance) -> Distance:
    """What candidates are compared by: the distance itself, or the published approximation."""
    if settings.search.distance == "exact":
        return perceptual
    return RandomProjection(perceptual, settings.search.projections)


def chunks_at_once(
    settings: ModelSettings, tower: Tower, perceptual: Distance, batch: Batch
) -> tuple[int, ...]:
    """Candidates per level that a search may compare at once within `search.memory`."""
    if settings.train.codes == "none":
        return (1,) * settings.tower.levels
    memory = search_memory(settings, batch.targets[0].device)
    dtype = torch.bfloat16 if settings.train.precision == "bf16" else torch.float32
    return plan_chunks(tower, perceptual, batch.conditioning, memory, dtype)


def search_memory(settings: ModelSettings, device: torch.device) -> int:
    """Bytes for candidates that are compared at once: `search.memory`, or by the device."""
    mebibytes, free = settings.search.memory, free_bytes(device)
    if mebibytes is not None:
        return mebibytes * 2**20
    return CPU_SEARCH_BYTES if free is None else int(FREE_SHARE * free)


def choose_codes(
    settings: ModelSettings,
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
        chunks: candidates compared at once, per level (`chunks_at_once`).
    """
    own, seed, device = settings.search, settings.seed, batch.targets[0].device
    levels = settings.tower.levels if settings.train.codes == "searched" else 0
    if not levels or not len(batch):
        nothing = torch.zeros(len(batch), levels, device=device)
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
            too_near=own.too_near,
            near_tie=own.near_tie,
        )
    supervised = supervised_levels(settings)
    count = sum(own.candidates)
    return search_whole(
        tower, distance, batch, count, supervised, seed=seed, round_=round_, chunk=min(chunks)
    )


def candidates_compared(settings: ModelSettings) -> int:
    """Candidates per image and round."""
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
    codes: Sequence[LevelCode], images: Sequence[int], settings: ModelSettings, step: int
) -> list[LevelCode]:
    """The chosen codes of B images (keys) with a little fresh noise, named by the run's step."""
    device = codes[0].style.device
    zero = torch.zeros((len(images), 1), dtype=torch.int64, device=device)
    moved = []
    for level, code in enumerate(codes):
        style, (channels, height, width) = code.style.shape[1], code.noise.shape[1:]
        noise = draw(
            (style, channels, height, width),
            images,
            zero,
            level=level,
            seed=settings.seed,
            round_=step,
            purpose="perturb",
        )
        size = settings.train.code_noise
        moved.append(LevelCode(code.style + size * noise.style, code.noise + size * noise.noise))
    return moved
