"""A trained tower as a Python object: one input image, many samples, at any size."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chimle.bundles.bundle import save_bundle
from chimle.device import arithmetic
from chimle.errors import UserError
from chimle.images.jpeg import JpegCode
from chimle.inference.banded import BandedTower
from chimle.inference.inputs import (
    AnyImage,
    ImageType,
    as_array,
    conditioning_for,
    image_key,
    like,
)
from chimle.inference.match import (
    Match,
    check_candidates,
    default_candidates,
    find_match,
    match_distance,
)
from chimle.inference.model_inputs import ModelInputs
from chimle.inference.sample_names import (
    LARGEST_NUMBER,
    LARGEST_SEED,
    MOST_SAMPLES,
    CodeMixture,
    Codes,
    Name,
    blends,
    mixture_of,
    parse_name,
    plain,
    variations,
    whole,
)
from chimle.inference.sampling import check_finite
from chimle.perceptual.lpips import Perceptual


@dataclass(frozen=True)
class Model(ModelInputs):
    """A loaded bundle that draws samples; made by `chimle.load`."""

    def save(self, folder: str | Path, license_: str | None = None) -> None:
        """Write the model as a bundle, which `load` reads; it replaces `folder` when complete.

        Args:
            folder: where to.
            license_: SPDX identifier of the model's license; None: as loaded.
        """
        bundle = self.bundle
        save_bundle(
            Path(folder),
            bundle.tower,
            bundle.settings,
            bundle.provenance,
            license_ or bundle.license,
            bundle.degradation,
        )

    def sample(
        self,
        image: ImageType,
        n: int = 8,
        seed: int = 0,
        first: int = 0,
        names: Sequence[Name | str] | Name | str | None = None,
        code: JpegCode | None = None,
    ) -> list[ImageType]:
        """Draw samples of an input image, each with its own codes at every level.

        Args:
            image: PIL image, (H, W, 3) uint8 array or (3, H, W) tensor in [0, 1], of any size.
            n: number of samples.
            seed: seed of the samples.
            first: number of the first sample; `first=7, n=1` draws sample 7 alone.
            names: samples by name, instead of `n` and `first`: `["7", "7.7.2.5"]`; or one name.
            code: how the input's JPEG file encodes it, which a decompression model's samples then
                agree with: `degraded_code()` of what `degraded` makes, `file_code` of a file. None:
                as the file that `image` was opened from does, where it is a PIL image and still
                what the file decodes to.

        Returns:
            Samples in the type of `image`, tensors on its device: of its size, or 16 times larger
            (super-resolution).

        Raises:
            TypeError: `image`, a name or `code` is of another type.
            UserError: `image` has values outside [0, 1], a name does not fit this model's levels,
                or a number is out of bounds.
        """
        if names is None:
            count, begin = _count(n), whole("first", first, 0, LARGEST_NUMBER)
            drawn = plain(count, self.levels, begin)
        else:
            given = [names] if isinstance(names, Name | str) else names
            drawn = [self.name(name) for name in given]
            whole("len(names)", len(drawn), 0, MOST_SAMPLES)
        return self._draw(image, [mixture_of(name) for name in drawn], seed, code)

    def name(self, name: Name | str) -> Name:
        """`7` or `7.7.2.5` as a sample's name; `UserError` for any other text or another model's.

        Raises:
            TypeError: it is neither text nor a name.
        """
        if not isinstance(name, Name | str):
            raise TypeError(f"a sample's name is text, as '7', not {type(name).__name__}")
        if isinstance(name, str):
            return parse_name(name, self.levels)
        numbers = [whole("number", number, 0, 2**31 - 1) for number in name.numbers]
        if len(numbers) != self.levels:
            raise UserError(f"{name} names no sample of this model: it has {self.levels} levels")
        return Name(tuple(numbers))

    def variations(self, base: Name | str, keep_level: int, n: int = 8) -> list[Name]:
        """Names of n samples with the codes of `base` at the `keep_level` coarsest levels.

        Raises:
            UserError: `base` names no sample, the model has fewer levels than `keep_level`, or n is
                out of bounds.
        """
        keep = whole("keep_level", keep_level, 0, self.levels)
        return variations(self.name(base), keep, _count(n))

    def vary(
        self,
        image: ImageType,
        base: Name | str,
        keep_level: int,
        n: int = 8,
        seed: int = 0,
        code: JpegCode | None = None,
    ) -> list[ImageType]:
        """Draw n variations of one sample that keep its codes of the coarse levels.

        Args:
            image: as for `sample`.
            base: name of the sample to vary.
            keep_level: number of coarse levels that keep their code, 0 to `levels`.
            n: number of variations.
            seed: the seed that the sample was drawn with.
            code: as for `sample`.

        Raises:
            TypeError: `image`, a name or `code` is of another type.
            UserError: `image` has values outside [0, 1], `base` names no sample, or a number is out
                of bounds.
        """
        names = self.variations(base, keep_level, n)
        return self._draw(image, [mixture_of(name) for name in names], seed, code)

    def blend(
        self,
        image: ImageType,
        start: Name | str,
        end: Name | str,
        n: int = 8,
        seed: int = 0,
        code: JpegCode | None = None,
    ) -> list[ImageType]:
        """n steps of a blend from one sample to another, both included.

        Args:
            image: as for `sample`.
            start: name of the first step's sample.
            end: name of the last step's sample.
            n: number of steps.
            seed: seed of the samples.
            code: as for `sample`.

        Raises:
            TypeError: `image`, a name or `code` is of another type.
            UserError: `image` has values outside [0, 1], `start` or `end` names no sample, or a
                number is out of bounds.
        """
        steps = blends(self.name(start), self.name(end), _count(n))
        return self._draw(image, steps, seed, code)

    def match(
        self,
        image: AnyImage,
        target: AnyImage,
        candidates: Sequence[int] | None = None,
        seed: int = 0,
        weights: str | None = None,
        code: JpegCode | None = None,
    ) -> Match:
        """Search the codes, level by level, for the sample nearest to a target.

        Args:
            image: the input.
            target: of the samples' size.
            candidates: per level, coarse first; None: 64, 32, 16, ..
            seed: seed of the samples.
            weights: `official`, `random`, or a file of the perceptual backbone's weights; None:
                random if training's were, else official. `Match.features` names them.
            code: as for `sample`.

        Raises:
            TypeError: an image or `code` is of another type.
            UserError: an image has values outside [0, 1], or sizes, counts or weights do not fit.
        """
        counts = default_candidates(self.levels) if candidates is None else tuple(candidates)
        check_candidates(counts, self.levels)
        whole("seed", seed, 0, LARGEST_SEED)
        perceptual = match_distance(self.bundle.settings.perceptual, weights, str(self.device))
        return self.nearest(image, target, perceptual, counts, seed, code)

    def nearest(
        self,
        image: AnyImage,
        target: AnyImage,
        perceptual: Perceptual,
        counts: Sequence[int],
        seed: int = 0,
        code: JpegCode | None = None,
    ) -> Match:
        """`match` by a distance that is loaded already.

        Args:
            image: the input.
            target: of the samples' size.
            perceptual: the distance, on this model's device.
            counts: candidates per level, coarse first.
            seed: seed of the samples.
            code: as for `sample`.

        Raises:
            TypeError: an image or `code` is of another type.
            UserError: an image has values outside [0, 1], or sizes or counts do not fit.
        """
        (rgb, own), wanted = self._input(image), as_array(target)
        jpeg = self._intervals(own if code is None else code)
        match = find_match(self.bundle, perceptual, rgb, wanted, counts, seed, jpeg)
        check_finite(math.isfinite(match.distances[-1]), self._name)
        return match

    def draw(
        self,
        rgb: np.ndarray,
        mixtures: Sequence[CodeMixture],
        seed: int = 0,
        code: JpegCode | None = None,
    ) -> Iterator[np.ndarray]:
        """Samples (H, W, 3) uint8 of the input (h, w, 3) uint8, one after another.

        Args:
            rgb: the input.
            mixtures: of codes, one per sample.
            seed: seed of the samples.
            code: how the input's JPEG file encodes it: samples of a decompression model then agree
                with that file. None: it is no JPEG, or not known.

        Raises:
            UserError: the model's outputs are no numbers.
        """
        tower = self.bundle.tower
        jpeg, settings = self._intervals(code), self.bundle.settings
        levels = [c.to(self.device) for c in conditioning_for(settings, rgb, jpeg)]
        size = (rgb.shape[0], rgb.shape[1])
        shapes, key = tower.code_shapes_for(levels), image_key(rgb)
        here = None if jpeg is None else jpeg.to(self.device)
        # One by one: a convolution of several rounds otherwise, and a sample is to be the same
        # whether it is drawn alone or with others.
        for mixture in mixtures:
            codes = Codes([mixture], shapes, key, seed, self.device)
            with arithmetic(self.device, self.precision):
                banded = BandedTower(tower, levels, codes, size, here)
                images = banded.images()
            check_finite(bool(banded.finite), self._name)
            yield from images

    def _draw(
        self,
        image: ImageType,
        mixtures: Sequence[CodeMixture],
        seed: int,
        code: JpegCode | None,
    ) -> list[ImageType]:
        whole("seed", seed, 0, LARGEST_SEED)
        rgb, own = self._input(image)
        return [
            like(image, sample)
            for sample in self.draw(rgb, mixtures, seed, own if code is None else code)
        ]


def _count(n: int) -> int:
    """The number of samples asked for; `UserError` where it is out of bounds."""
    return whole("n", n, 1, MOST_SAMPLES)
