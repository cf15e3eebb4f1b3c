"""Evaluation of a tower in bands of rows: an image of any size in bounded memory.

The wide activations (the dense blocks' concatenations) exist for one band and its receptive field
at a time; only the narrow trunk is stored whole. Instance normalisation takes its statistics over
the whole image, the noise is one field and the style one code, so no border between bands shows:
the banded image equals the image of one pass up to rounding.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.device import nhwc, without_autocast
from chimle.images.colour import chroma_to_rgb
from chimle.images.jpeg import JpegIntervals
from chimle.images.jpeg_agreement import agree_with_jpeg, as_stored, upright
from chimle.images.pyramid import to_uint8
from chimle.inference.bands import (
    Rows,
    band_borders,
    by_bands,
    modulate,
    replace_by_bands,
    rows_of,
)
from chimle.inference.sample_names import Codes
from chimle.tasks import Wiring
from chimle.tower.blocks import RESIDUAL_SCALE, ResidualDenseBlocks, materialised
from chimle.tower.consistency import agree_with_lightness, agreeing, reduced_agreement
from chimle.tower.equaliser import equalised
from chimle.tower.generator import Tower
from chimle.tower.level import FEATURE_SCALE, Level

BAND_BYTES = {"cpu": 2**26, "cuda": 2**30, "mps": 2**28}
"""Bytes of a band's widest activations, by device type; on a CPU, about the size of its caches."""
DENSE_REACH = 5
"""Rows of context above and below that a dense block needs: five 3x3 convolutions."""
ENTRY_REACH = 3
"""Rows of context of a level's entry: its first convolution and the two of the upsampling."""

FINISH_ROWS = 256
"""Rows that are converted to 8 bits at once: whole blocks of a JPEG image."""


def live_channels(level: Level) -> int:
    """Floats per pixel that exist at once in a dense block of `level`."""
    # The concatenation, its copy, and the output of a convolution.
    return 2 * (level.width + 4 * level.growth) + level.width


class BandedTower:
    """One evaluation of a tower for N samples of one image.

    Args:
        tower: the generator.
        conditioning: per level (1, C, h, w) in [0, 1]; super-resolution has one, the input.
        codes: the N samples' codes.
        size: height and width of the input before its edges were repeated; None: nothing was.
        jpeg: quantisation of the input, where it is a decoded JPEG image.

    Attributes:
        finite: whether the finest output was finite numbers, () bool on the tower's device. What
            is no number at a coarser level is none there: normalisation spreads it over the image.
    """

    def __init__(
        self,
        tower: Tower,
        conditioning: Sequence[Tensor],
        codes: Codes,
        size: tuple[int, int] | None = None,
        jpeg: JpegIntervals | None = None,
    ) -> None:
        self.tower, self.conditioning, self.codes, self.jpeg = tower, conditioning, codes, jpeg
        height, width = size or tuple(conditioning[-1].shape[-2:])
        factor = 2**tower.settings.levels if tower.wiring is Wiring.SUPER_RESOLUTION else 1
        self.height, self.width = height * factor, width * factor
        self.exact = tower.settings.agreement == "exact"
        self.samples = len(codes.mixtures)
        self.finite = torch.ones((), dtype=torch.bool, device=codes.device)

    def _borders(self, level: Level, height: int, width: int, reach: int) -> list[int]:
        channels = self.samples * live_channels(level)
        return band_borders(height, width, channels, reach, BAND_BYTES[self.codes.device.type])

    def _enter(self, number: int, conditioning: Tensor, below: Rows | None) -> Rows:
        level = self.tower.level(number)

        def rows(top: int, bottom: int) -> Tensor:
            seen = conditioning[:, :, top:bottom].expand(self.samples, -1, -1, -1)
            parts = [seen, self.codes.noise(number, top, bottom)]
            if below is not None:
                parts.append(below(top, bottom) * FEATURE_SCALE)
            entered: Tensor = level.input(nhwc(torch.cat(parts, dim=1)))
            return entered

        return rows

    def _body(self, level: Level, features: Tensor, style: Tensor) -> Tensor:
        """The level's body; overwrites the trunk `features`."""
        height, width = features.shape[2:]
        borders = self._borders(level, height, width, DENSE_REACH)
        inner = features
        for block, modulation in zip(level.body.blocks, level.body.styles, strict=True):
            inner = self._block(block, inner, borders)  # type: ignore[arg-type]
            modulate(inner, modulation, style)  # type: ignore[arg-type]
        for top, bottom in pairwise(borders):
            above, below = max(0, top - 1), min(height, bottom + 1)
            last = level.body.last(rows_of(inner, above, below))
            features[:, :, top:bottom] += last[:, :, top - above : bottom - above]
        return features

    @staticmethod
    def _block(block: ResidualDenseBlocks, start: Tensor, borders: Sequence[int]) -> Tensor:
        """A residual of three dense blocks, as a new map."""
        first, *others = block.dense
        inner = by_bands(
            lambda top, bottom: first(rows_of(start, top, bottom)), borders, DENSE_REACH
        )
        for dense in others:
            replace_by_bands(inner, dense, borders, DENSE_REACH)
        return inner.mul_(RESIDUAL_SCALE).add_(start)

    def _upsampled(self, level: Level, feature: Tensor) -> Rows:
        """The level's upsampling; rows are those of the upsampled map."""
        up = level.up
        assert up is not None

        def rows(top: int, bottom: int) -> Tensor:
            if not up.enlarge:
                upsampled: Tensor = up(rows_of(feature, top, bottom))
                return upsampled
            first = top // 2
            # Upsampling doubles rows: a border at an odd row takes one row more.
            source = rows_of(feature, first, (bottom + 1) // 2)
            enlarged = F.interpolate(source, scale_factor=2, mode="nearest")
            return up.convolve(enlarged[:, :, top - 2 * first : bottom - 2 * first])

        return rows

    def _draw(self, level: Level, source: Rows, size: tuple[int, int], finest: bool) -> Tensor:
        """The raw image (N, 2 or 3, H, W) in [-1, 1]; of the finest level, `finite` is noted."""
        borders = self._borders(level, *size, ENTRY_REACH)

        def rows(top: int, bottom: int) -> Tensor:
            raw = level.draw(source(top, bottom))
            if finest:
                self.finite &= raw.isfinite().all()  # Read once, at the end: no band waits for it.
            return raw

        return by_bands(rows, borders, ENTRY_REACH)

    @torch.no_grad()
    def images(self) -> np.ndarray:
        """The finest level's images, (N, H, W, 3) uint8."""
        with materialised(self.tower):
            return self._images()

    def _images(self) -> np.ndarray:
        tower, last = self.tower, len(self.tower.levels) - 1
        chained = tower.wiring is Wiring.SUPER_RESOLUTION
        styles: list[Tensor] = []
        below: Rows | None = None
        drawn = self.conditioning[0]
        for number, level in enumerate(tower.each_level()):
            height, width = self.codes.shapes[number][2:]
            with without_autocast(self.codes.device):  # Casting its weights takes as long as it.
                styles.append(level.mapping(self.codes.style(number), styles))
            conditioning = drawn if chained else self.conditioning[number]
            borders = self._borders(level, height, width, ENTRY_REACH)
            features = by_bands(self._enter(number, conditioning, below), borders, ENTRY_REACH)
            feature = self._body(level, features, styles[-1])
            del features
            below = self._upsampled(level, feature) if level.up is not None else None
            if chained or number == last:
                factor = 2 if chained else 1
                source = below if level.draws_after_up and below else partial(rows_of, feature)
                size = (factor * height, factor * width)
                drawn = self._draw(level, source, size, finest=number == last)
                if number == last and tower.equaliser is not None:
                    drawn = self._equalised(drawn, tower.equaliser)
                if chained and self.exact:
                    drawn = self._reduced_agreement(drawn)
        return self._finish(drawn)

    @staticmethod
    def _equalised(raw: Tensor, kernel: Tensor) -> Tensor:
        """Raw images filtered by a tower's equaliser, in bands."""
        filtered = torch.empty_like(raw, dtype=torch.float32)
        for top in range(0, raw.shape[2], FINISH_ROWS):
            rows = (top, min(top + FINISH_ROWS, raw.shape[2]))
            filtered[:, :, slice(*rows)] = equalised(raw, kernel, rows)
        return filtered

    def _reduced_agreement(self, raw: Tensor) -> Tensor:
        """Raw images whose reduction is the input, sample by sample for the sake of memory."""
        inputs = self.conditioning[0]
        for number in range(len(raw)):
            own = slice(number, number + 1)
            raw[own] = 2 * reduced_agreement(raw[own], inputs) - 1
        return raw

    def _finish(self, raw: Tensor) -> np.ndarray:
        """Raw images to (N, H, W, 3) uint8, in bands: the conversion of colours needs memory."""
        raw = raw[:, :, : self.height, : self.width]
        if self.exact and self.jpeg is not None:
            return to_uint8(self._jpeg_agreement((raw + 1) / 2, self.jpeg))
        images = np.empty((len(raw), *raw.shape[2:], 3), dtype=np.uint8)
        for top in range(0, raw.shape[2], FINISH_ROWS):
            part = raw[:, :, top : top + FINISH_ROWS]
            if self.tower.wiring is Wiring.COLOURIZATION:
                light = self.conditioning[-1][:, :, top : top + FINISH_ROWS, : self.width]
                convert = agree_with_lightness if self.exact else chroma_to_rgb
                image = convert(light[:, :, : part.shape[2]].expand(len(part), -1, -1, -1), part)
            else:
                image = (part + 1) / 2
            images[:, top : top + FINISH_ROWS] = to_uint8(image)
        return images

    def _jpeg_agreement(self, images: Tensor, jpeg: JpegIntervals) -> Tensor:
        """Images whose coefficients lie in the input's intervals, in bands of whole blocks."""
        given = self.conditioning[-1][:, :, : self.height, : self.width]
        stored, inputs = (as_stored(i, jpeg.orientation) for i in (images, given))
        stored, upright_jpeg = stored.clone(), jpeg._replace(orientation=1)
        for top in range(0, stored.shape[2], FINISH_ROWS):
            rows = slice(top, top + FINISH_ROWS)
            seen = inputs[:, :, rows]
            stored[:, :, rows] = agreeing(
                lambda x, seen=seen: agree_with_jpeg(x, seen, upright_jpeg),  # type: ignore[misc]
                stored[:, :, rows],
            )
        return upright(stored, jpeg.orientation)
