"""The Tower Implicit Model as a fold: `begin`, then one `step` per level (paper, section 3.2).

    state = tower.begin(conditioning)
    image, state = tower.step(level, state, code)      # for every level, coarse first

`forward` is that fold. A search keeps a prefix state of B images and extends it by K candidates
each in one step: whatever depends on the prefix alone is computed for B, not for B*K.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from chimle.images.colour import chroma_to_rgb
from chimle.images.jpeg import JpegIntervals
from chimle.images.jpeg_agreement import agree_with_jpeg
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.consistency import agree_with_lightness, agreeing, reduced_agreement
from chimle.tower.equaliser import equalised
from chimle.tower.initialise import initialise
from chimle.tower.level import Level
from chimle.tower.state import TowerState


class LevelCode(NamedTuple):
    """The latent code of one level: style (B, style_size), noise (B, noise_channels, h, w)."""

    style: Tensor
    noise: Tensor


def _repeat(tensor: Tensor, rows: int) -> Tensor:
    """Each of the B rows `rows // B` times in a row."""
    count = tensor.shape[0]
    return tensor if count == rows else tensor.repeat_interleave(rows // count, dim=0)


class Tower(nn.Module):
    """The generator.

    Args:
        settings: sizes and initialisation.
        wiring: how levels are joined (METHOD: generic, super-resolution, colourization).

    Attributes:
        equaliser: (s, s) filter of the finest level's output (`chimle.tower.equaliser`); None
            while a tower is trained, and where the finished model has none.
    """

    equaliser: Tensor | None

    def __init__(self, settings: TowerSettings, wiring: Wiring) -> None:
        super().__init__()
        self.settings, self.wiring = settings, wiring
        self.levels = nn.ModuleList(Level(settings, wiring, i) for i in range(settings.levels))
        self.register_buffer("equaliser", None)
        initialise(self.each_level(), wiring, settings.initialisation)

    def level(self, number: int) -> Level:
        """One level, from 0."""
        level = self.levels[number]
        assert isinstance(level, Level)
        return level

    def each_level(self) -> list[Level]:
        """All levels, coarse first."""
        return [self.level(number) for number in range(len(self.levels))]

    def code_shapes(self) -> list[tuple[int, int, int, int]]:
        """(style_size, noise_channels, h, w) of every level at the settings' resolution."""
        return [
            (self.settings.style_size, self.settings.noise_channels, size, size)
            for size in self.settings.working_sizes(self.wiring)
        ]

    def code_shapes_for(self, conditioning: Sequence[Tensor]) -> list[tuple[int, int, int, int]]:
        """(style_size, noise_channels, h, w) of every level for images of any size.

        Args:
            conditioning: as `begin` takes it.
        """
        sizes = [(tensor.shape[-2], tensor.shape[-1]) for tensor in conditioning]
        if self.wiring is Wiring.SUPER_RESOLUTION:
            height, width = sizes[0]
            sizes = [(height << level, width << level) for level in range(self.settings.levels)]
        style, channels = self.settings.style_size, self.settings.noise_channels
        return [(style, channels, height, width) for height, width in sizes]

    def scale_noise(self, factor: float) -> None:
        """Multiply the weights of the spatial noise of every level."""
        if factor != 1:
            for level in self.each_level():
                level.scale_noise_weights(factor)

    def scale_styles(self, factor: float) -> None:
        """Multiply the weights of the style codes of every level."""
        for level in self.each_level():
            level.scale_style_weights(factor)

    def ignore_codes(self) -> None:
        """Make the tower a function of its conditioning alone, whatever the codes."""
        for level in self.each_level():
            level.ignore_code()

    def mapping_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the mapping networks, which learn at a rate of their own."""
        for level in self.each_level():
            yield from level.mapping.parameters()

    def other_parameters(self) -> Iterator[nn.Parameter]:
        """All other parameters."""
        mapping = {id(parameter) for parameter in self.mapping_parameters()}
        return (p for p in self.parameters() if id(p) not in mapping)

    def begin(
        self, conditioning: Sequence[Tensor], jpeg: JpegIntervals | None = None
    ) -> TowerState:
        """The empty prefix of B images.

        Args:
            conditioning: per level (B, 3, h, w) RGB or (B, 1, h, w) lightness in [0, 1], coarse
                first; super-resolution takes one image, the input.
            jpeg: quantisation of inputs that were JPEG files: with `agreement: exact` the finest
                images agree with them (generic wiring).
        """
        expected = 1 if self.wiring is Wiring.SUPER_RESOLUTION else self.settings.levels
        if len(conditioning) != expected:
            raise ValueError(
                f"{self.wiring} takes {expected} conditioning images, not {len(conditioning)}"
            )
        return TowerState(tuple(conditioning), (), None, None, jpeg)

    def _conditioning(self, level: int, state: TowerState) -> Tensor:
        if state.image is None:
            return state.conditioning[0]
        if self.wiring is Wiring.SUPER_RESOLUTION:
            return state.image
        return _repeat(state.conditioning[level], state.image.shape[0])

    def _feature(self, level: int, state: TowerState) -> Tensor | None:
        """What a level takes from the one below.

        The way up runs here, at the next level's start, unless the level below drew from it:
        searching that level then never pays for it.
        """
        if state.feature is None:
            return None
        below = self.level(level - 1)
        if below.draws_after_up:
            return state.feature
        assert below.up is not None
        upsampled: Tensor = below.up(state.feature)
        return upsampled

    def step(self, level: int, state: TowerState, code: LevelCode) -> tuple[Tensor, TowerState]:
        """Extend a prefix by one level.

        Args:
            level: its number, from 0; `state` must be the prefix of the levels below.
            state: prefix of B images.
            code: code of B*K rows, the K candidates of an image contiguous.

        Returns:
            The level's image (B*K, 3, H, W) in [0, 1], and the prefix of B*K rows.
        """
        part = self.level(level)
        rows = code.noise.shape[0]
        style = part.mapping(code.style, state.styles)
        features = part.enter(
            self._conditioning(level, state), code.noise, self._feature(level, state)
        )
        feature = part.body(features, style)
        if part.draws_after_up:
            assert part.up is not None
            feature = part.up(feature)
        image, raw = self._image(level, state, part.draw(feature))
        styles = (*(_repeat(lower, rows) for lower in state.styles), style)
        return image, TowerState(state.conditioning, styles, feature, raw, state.jpeg)

    def _image(self, level: int, state: TowerState, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The level's image (B*K, 3, H, W), and the raw output as the next level sees it."""
        exact, finest = self.settings.agreement == "exact", level == self.settings.levels - 1
        if finest and self.equaliser is not None:
            raw = equalised(raw, self.equaliser)
        if self.wiring is Wiring.COLOURIZATION:
            light = _repeat(state.conditioning[level], raw.shape[0])
            return (agree_with_lightness if exact else chroma_to_rgb)(light, raw), raw
        if exact and self.wiring is Wiring.SUPER_RESOLUTION:
            image = reduced_agreement(raw, state.conditioning[0])
            return image, 2 * image - 1
        image = (raw + 1) / 2
        jpeg = state.jpeg
        if exact and jpeg is not None and finest:
            inputs = state.conditioning[level]
            image = agreeing(lambda x: agree_with_jpeg(x, inputs, jpeg), image)
        return image, raw

    def forward(
        self,
        conditioning: Sequence[Tensor],
        codes: Sequence[LevelCode],
        jpeg: JpegIntervals | None = None,
    ) -> list[Tensor]:
        """All levels' images (B, 3, H, W) in [0, 1], coarse first: the fold of `step`."""
        state = self.begin(conditioning, jpeg)
        images = []
        for level, code in enumerate(codes):
            image, state = self.step(level, state, code)
            images.append(image)
        return images
