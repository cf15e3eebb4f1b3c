"""Search the codes of a model for the sample nearest to a target image."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from chimle.bundles.bundle import Bundle
from chimle.data.batch import Batch
from chimle.errors import UserError
from chimle.images.jpeg import JpegIntervals
from chimle.images.pyramid import resize, to_tensor, to_uint8
from chimle.inference.inputs import conditioning_for, image_key, padded
from chimle.inference.sample_names import Name
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.search.chunking import plan_chunks
from chimle.search.hierarchical import search
from chimle.settings.perceptual import OFFICIAL_NAME, RANDOM_NAME, PerceptualSettings

LARGEST_SIDE = 1024
"""Longest side of a target, pixels: every candidate is a whole image in memory."""
MEMORY = 2 * 2**30
"""Bytes that the candidates compared at once may take."""

MOST_CANDIDATES = 10_000
"""Codes that are searched at a level, at most."""


@dataclass(frozen=True)
class Match:
    """The sample found by a search, and its distance to the target.

    Attributes:
        name: the sample found; `sample(..., names=[name])` draws it.
        distances: LPIPS to the target at every level, coarse first.
        unsearched: LPIPS of sample 0 at every level: the distance without a search.
        features: name of the features that the distance uses, as `squeeze`.
    """

    name: Name
    distances: tuple[float, ...]
    unsearched: tuple[float, ...]
    features: str


def default_candidates(levels: int) -> tuple[int, ...]:
    """64 codes at the coarsest level and half as many at each finer one, at least 4."""
    return tuple(max(64 >> level, 4) for level in range(levels))


def match_distance(
    settings: PerceptualSettings, weights: str | None, device: str, parameter: str = "weights"
) -> Perceptual:
    """The distance of a search: LPIPS over the backbone of a model's training.

    Args:
        settings: of the model.
        weights: `official`, `random`, or a file of the backbone's weights; None: random if
            training's were, else official.
        device: where it computes.
        parameter: what a user calls `weights`, for messages.

    Raises:
        UserError: the weights are missing or damaged.
    """
    if weights is None:
        # A file of training is on another machine.
        weights = RANDOM_NAME if settings.weights == RANDOM_NAME else OFFICIAL_NAME
    # Training may compare enlarged images, too; under the backbone's name stands LPIPS itself.
    own = settings.model_copy(update={"weights": weights, "scales": (1,)})
    return load_perceptual(own, device, parameter=parameter)


def check_candidates(candidates: Sequence[int], levels: int, parameter: str = "candidates") -> None:
    """`UserError` unless `candidates` holds a count per level from 1 to `MOST_CANDIDATES`.

    It names them as the user does, by `parameter`.
    """
    fits = all(isinstance(one, Integral) and 1 <= one <= MOST_CANDIDATES for one in candidates)
    if len(candidates) != levels or not fits:
        raise UserError(
            f"`{parameter}`: give a count from 1 to {MOST_CANDIDATES:,} for each of the model's "
            f"{levels} levels"
        )


def find_match(
    bundle: Bundle,
    perceptual: Perceptual,
    rgb: np.ndarray,
    target: np.ndarray,
    candidates: Sequence[int],
    seed: int,
    jpeg: JpegIntervals | None = None,
) -> Match:
    """Search the samples of one input for the one nearest to a target (paper, section 3).

    Args:
        bundle: the model, on the device of `perceptual`.
        perceptual: the distance.
        rgb: the input (h, w, 3) uint8.
        target: (H, W, 3) uint8, of the samples' size.
        candidates: per level, coarse first.
        seed: seed of the samples.
        jpeg: the input's quantisation, where it is a decoded JPEG image.

    Raises:
        UserError: the sizes do not match or are too large, or `candidates` is not one count per
            level.
    """
    settings, levels = bundle.settings, bundle.settings.tower.levels
    factor = settings.definition.reduction
    height, width = (side * factor for side in rgb.shape[:2])
    if target.shape[:2] != (height, width):
        raise UserError(
            f"the target has {target.shape[1]}x{target.shape[0]} pixels, but samples of this input "
            f"have {width}x{height}: give a target of that size"
        )
    if max(height, width) > LARGEST_SIDE:
        raise UserError(
            f"a match takes targets of at most {LARGEST_SIDE} pixels a side, not {width}x{height}: "
            "reduce input and target first"
        )
    check_candidates(candidates, levels)
    whole = to_uint8(padded(to_tensor([target]), 2 ** (levels - 1)))[0]
    shifts = range(levels - 1, -1, -1)
    targets = tuple(
        to_tensor([resize(whole, (whole.shape[0] >> shift, whole.shape[1] >> shift))])
        for shift in shifts
    )
    levels_of_input = conditioning_for(settings, rgb, jpeg)
    if whole.shape != target.shape and jpeg is not None and jpeg.orientation != 1:
        jpeg = None  # Padding would move the blocks of an image that is not stored upright.
    batch = Batch((image_key(rgb),), levels_of_input, targets, jpeg)
    batch = batch.to(next(bundle.tower.parameters()).device)

    chunks = plan_chunks(bundle.tower, perceptual, batch.conditioning, MEMORY)

    def best_of(counts: Sequence[int]) -> tuple[tuple[int, ...], tuple[float, ...]]:
        found = search(
            bundle.tower,
            perceptual,
            batch,
            counts,
            seed=seed,
            round_=0,
            chunks=chunks,
            purpose="sample",
        )
        return tuple(found.indices[0].tolist()), tuple(found.distances[0].tolist())

    numbers, distances = best_of(candidates)
    return Match(Name(numbers), distances, best_of([1] * levels)[1], perceptual.info.name)
