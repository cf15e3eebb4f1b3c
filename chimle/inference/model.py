"""A trained tower as a Python object: one picture in, many out, at any size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chimle.bundles.addresses import open_bundle
from chimle.bundles.bundle import Bundle
from chimle.device import choose_device
from chimle.images.degrade import degrade
from chimle.images.pyramid import resize
from chimle.inference.banded import BandedTower, answers_at_once
from chimle.inference.inputs import (
    AnyPicture,
    Picture,
    as_array,
    conditioning_for,
    like,
    picture_key,
)
from chimle.inference.match import Match, default_candidates, find_match
from chimle.inference.sample_names import (
    CodeMixture,
    Codes,
    Name,
    blends,
    parse_name,
    plain,
    recipe,
    variations,
)
from chimle.perceptual.lpips import load_perceptual


@dataclass(frozen=True)
class Model:
    """A loaded bundle, ready to sample. Build it with `load`."""

    bundle: Bundle
    device: torch.device

    @property
    def levels(self) -> int:
        """Number of levels of the hierarchy."""
        return self.bundle.settings.tower.levels

    @property
    def factor(self) -> int:
        """Side of an answer divided by the side of its input: 16 for super-resolution, else 1."""
        return self.bundle.settings.definition.reduction

    def degraded(self, photograph: AnyPicture) -> np.ndarray:
        """What the task's input would be for a good photograph: (h, w, 3) uint8.

        Its sides are first reduced to multiples of the task's factor.
        """
        rgb = self.whole_inputs(as_array(photograph))
        definition = self.bundle.settings.definition
        return degrade(rgb, definition, self.bundle.settings.pair, seed=0)[0]

    def whole_inputs(self, rgb: np.ndarray) -> np.ndarray:
        """The photograph at the nearest smaller size that whole input pixels answer to."""
        height, width = (max(side - side % self.factor, self.factor) for side in rgb.shape[:2])
        return resize(rgb, (height, width))

    def sample(
        self,
        picture: Picture,
        n: int = 8,
        seed: int = 0,
        first: int = 0,
        names: Sequence[Name | str] | None = None,
    ) -> list[Picture]:
        """Draw answers to a picture, each from codes of its own at every level.

        Args:
            picture: PIL image, (H, W, 3) uint8 array or (3, H, W) tensor in [0, 1], of any size.
            n: how many.
            seed: seed of the samples.
            first: number of the first one; `first=7, n=1` makes sample 7 again, alone.
            names: instead of `n` and `first`, the samples wanted: `["7", "7.7.2.5"]`.

        Returns:
            Pictures of the given type: of the same size, or 16 times larger (super-resolution).

        Raises:
            TypeError: `picture` is of another type.
            UserError: a name is none of this model's.
        """
        wanted = plain(n, self.levels, first) if names is None else map(self.name, names)
        return self._draw(picture, [recipe(name) for name in wanted], seed)

    def name(self, name: Name | str) -> Name:
        """`7` or `7.7.2.5` as a sample's name; `UserError` when it is none."""
        return parse_name(name, self.levels) if isinstance(name, str) else name

    def variations(self, base: Name | str, keep_level: int, n: int = 8) -> list[Name]:
        """Names of n samples with the codes of `base` at the `keep_level` coarsest levels.

        Raises:
            ValueError: there are not so many levels.
            UserError: `base` names no sample.
        """
        if not 0 <= keep_level <= self.levels:
            raise ValueError(f"`keep_level` is {keep_level}, of {self.levels} levels")
        return variations(self.name(base), keep_level, n)

    def vary(
        self, picture: Picture, base: Name | str, keep_level: int, n: int = 8, seed: int = 0
    ) -> list[Picture]:
        """Draw n variations of one sample that keep its codes of the coarse levels.

        Args:
            picture: as for `sample`.
            base: name of the sample to vary.
            keep_level: how many of the coarse levels keep their code, 0 to `levels`.
            n: how many.
            seed: the seed that the sample was drawn with.

        Raises:
            TypeError: `picture` is of another type.
            ValueError: there are not so many levels.
            UserError: `base` names no sample.
        """
        return self.sample(picture, seed=seed, names=self.variations(base, keep_level, n))

    def blend(
        self, picture: Picture, start: Name | str, end: Name | str, n: int = 8, seed: int = 0
    ) -> list[Picture]:
        """n pictures on the way from one sample to another, both included.

        Raises:
            TypeError: `picture` is of another type.
            UserError: `start` or `end` names no sample.
        """
        return self._draw(picture, blends(self.name(start), self.name(end), n), seed)

    def match(
        self,
        picture: AnyPicture,
        target: AnyPicture,
        candidates: Sequence[int] | None = None,
        seed: int = 0,
        weights: str | None = None,
    ) -> Match:
        """Search the codes, level by level, for the answer nearest to a target.

        Args:
            picture: the input.
            target: the picture to come near to, of the answers' size.
            candidates: per level, coarse first; None: 64, 32, 16, ..
            seed: seed of the samples.
            weights: file of the perceptual backbone's weights; None: those of training, else
                random features, which `Match.features` says.

        Raises:
            TypeError: a picture is of another type.
            UserError: sizes, counts or weights do not fit.
        """
        settings = self.bundle.settings.perceptual
        if weights is None:
            settings = settings.model_copy(update={"weights": None, "allow_random": True})
        else:
            settings = settings.model_copy(update={"weights": weights})
        perceptual = load_perceptual(settings, str(self.device))
        counts = candidates or default_candidates(self.levels)
        rgb, wanted = as_array(picture), as_array(target)
        return find_match(self.bundle, perceptual, rgb, wanted, counts, seed)

    def draw(
        self, rgb: np.ndarray, recipes: Sequence[CodeMixture], seed: int = 0
    ) -> Iterator[np.ndarray]:
        """Answers (H, W, 3) uint8 to (h, w, 3) uint8, one after another as they are made."""
        tower = self.bundle.tower
        levels = [c.to(self.device) for c in conditioning_for(self.bundle.settings, rgb)]
        height, width = (side * self.factor for side in rgb.shape[:2])
        shapes, key = tower.code_shapes_for(levels), picture_key(rgb)
        together = answers_at_once(tower, height, width, self.device)
        for start in range(0, len(recipes), together):
            codes = Codes(recipes[start : start + together], shapes, key, seed, self.device)
            pictures = BandedTower(tower, levels, codes).picture()
            yield from pictures[:, :height, :width]

    def _draw(self, picture: Picture, recipes: Sequence[CodeMixture], seed: int) -> list[Picture]:
        rgb = as_array(picture)
        return [like(picture, answer) for answer in self.draw(rgb, recipes, seed)]


def load(address: str | Path) -> Model:
    """Load a model bundle, on the device that `CHIMLE_DEVICE` names or the best there is.

    Args:
        address: a folder or file, `s3://bucket/name`, or `git+REPOSITORY@REVISION:models/task`.

    Raises:
        UserError: there is no bundle of this version, or it is damaged.
    """
    device = choose_device()
    return Model(open_bundle(str(address), str(device)), device)
