"""The Tower Implicit Model as a fold: `begin`, then one `step` per level (paper, section 3.2).

    state = tower.begin(conditioning)
    image, state = tower.step(level, state, code)      # for every level, coarse first

`forward` is that fold. A search keeps a prefix state of B images and extends it by K candidates
each in one step: whatever depends on the prefix alone is computed for B, not for B*K.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chimle.images.colour import chroma_to_rgb
from chimle.settings import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.blocks import Body, Up, convolution
from chimle.tower.initialise import initialise
from chimle.tower.mapping import Mapping

FEATURE_SCALE = 0.1
"""Factor on the feature that a level takes from the one below (published `feat_scales`)."""


class LevelCode(NamedTuple):
    """The latent code of one level: style (B, style_size), noise (B, noise_channels, h, w)."""

    style: Tensor
    noise: Tensor


class TowerState(NamedTuple):
    """A prefix: what the levels so far leave for the next one.

    Attributes:
        conditioning: per level (C, h, w) of every image, as given to `begin`: B rows, or one for
            all K candidates of an image, who share it.
        styles: mapped styles (B, mapping_width) of the levels so far.
        feature: (B, width, h, w) feature that the last level drew from; None before the first.
        image: (B, 2 or 3, h, w) raw tanh output of the last level; None before the first.
    """

    conditioning: tuple[Tensor, ...]
    styles: tuple[Tensor, ...]
    feature: Tensor | None
    image: Tensor | None


def select_state(state: TowerState, rows: Tensor) -> TowerState:
    """The given rows (int64) of a state, in that order."""
    shared = 1 if state.image is None else len(state.image) // len(state.conditioning[0])
    return TowerState(
        tuple(tensor[rows // shared] for tensor in state.conditioning),
        tuple(tensor[rows] for tensor in state.styles),
        None if state.feature is None else state.feature[rows],
        None if state.image is None else state.image[rows],
    )


def _repeat(tensor: Tensor, rows: int) -> Tensor:
    """Each of the B rows `rows // B` times in a row."""
    count = tensor.shape[0]
    return tensor if count == rows else tensor.repeat_interleave(rows // count, dim=0)


class Level(nn.Module):
    """One level of the tower.

    Args:
        settings: sizes.
        wiring: how levels are joined.
        level: level, from 0.
    """

    def __init__(self, settings: TowerSettings, wiring: Wiring, level: int) -> None:
        super().__init__()
        width = self.width = settings.widths[level]
        last = level == settings.levels - 1
        chroma = wiring is Wiring.COLOURIZATION
        self.conditioning_channels = 1 if chroma else 3
        self.noise_channels = settings.noise_channels
        below = settings.widths[level - 1] if level else 0
        self.draws_after_up = wiring is Wiring.SUPER_RESOLUTION or (chroma and last)
        self.mapping = Mapping(
            settings.style_size, settings.mapping_width, settings.mapping_depth, level
        )
        self.input = convolution(self.conditioning_channels + self.noise_channels + below, width)
        self.body = Body(width, settings.growth[level], settings.blocks, settings.mapping_width)
        # The generic task's last level needs no way up; it is built only where it runs.
        self.up: Up | None = None
        if not last or self.draws_after_up:
            self.up = Up(width, enlarge=not (chroma and last))
        self.out = convolution(width, 2 if chroma else 3)

    @torch.no_grad()
    def scale_noise_weights(self, share: float) -> None:
        """Scale the noise's weights in the first convolution by `share`."""
        start, stop = self.conditioning_channels, self.conditioning_channels + self.noise_channels
        weight = self.input.weight.clone()
        weight[:, start:stop] *= share
        self.input.weight = weight

    @torch.no_grad()
    def ignore_code(self) -> None:
        """Zero every weight that reads the code: the level's picture no longer depends on it.

        Trained with codes of zeros, those weights have no gradient and stay zero.
        """
        self.scale_noise_weights(0.0)
        self.mapping.embedding.weight.zero_()

    def enter(self, conditioning: Tensor, noise: Tensor, feature: Tensor | None) -> Tensor:
        """The level's first convolution, of (B, ...) prefix parts and (B*K, ...) noise.

        A convolution of a concatenation is the sum of convolutions of its parts: the prefix's part
        is computed for B images only.
        """
        weight, bias = self.input.weight, self.input.bias
        start, stop = self.conditioning_channels, self.conditioning_channels + self.noise_channels
        if noise.shape[0] == conditioning.shape[0]:
            parts = [conditioning, noise] + ([] if feature is None else [feature * FEATURE_SCALE])
            return F.conv2d(torch.cat(parts, dim=1), weight, bias, padding=1)
        prefix, kernel = conditioning, weight[:, :start]
        if feature is not None:
            prefix = torch.cat((conditioning, feature * FEATURE_SCALE), dim=1)
            kernel = torch.cat((kernel, weight[:, stop:]), dim=1)
        shared = F.conv2d(prefix, kernel, bias, padding=1)
        own = F.conv2d(noise, weight[:, start:stop], padding=1)
        repeats = noise.shape[0] // conditioning.shape[0]
        own = own.unflatten(0, (-1, repeats)) + shared.unsqueeze(1)
        return own.flatten(0, 1)

    def draw(self, feature: Tensor) -> Tensor:
        """(B, width, h, w) to the raw output (B, 2 or 3, h, w) in [-1, 1], fp32."""
        return torch.tanh(self.out(feature).float())


class Tower(nn.Module):
    """The generator.

    Args:
        settings: sizes and initialisation.
        wiring: how levels are joined (METHOD: generic, super-resolution, colourization).
    """

    def __init__(self, settings: TowerSettings, wiring: Wiring) -> None:
        super().__init__()
        self.settings, self.wiring = settings, wiring
        self.levels = nn.ModuleList(Level(settings, wiring, i) for i in range(settings.levels))
        initialise(self, settings.initialisation)

    def code_shapes(self) -> list[tuple[int, int, int, int]]:
        """(style_size, noise_channels, h, w) of every level at the settings' resolution."""
        return [
            (self.settings.style_size, self.settings.noise_channels, size, size)
            for size in self.settings.working_sizes(self.wiring)
        ]

    def code_shapes_for(self, conditioning: Sequence[Tensor]) -> list[tuple[int, int, int, int]]:
        """(style_size, noise_channels, h, w) of every level for pictures of any size.

        Args:
            conditioning: as `begin` takes it.
        """
        sizes = [tuple(tensor.shape[-2:]) for tensor in conditioning]
        if self.wiring is Wiring.SUPER_RESOLUTION:
            height, width = sizes[0]
            sizes = [(height << level, width << level) for level in range(self.settings.levels)]
        return [
            (self.settings.style_size, self.settings.noise_channels, *size)  # type: ignore[misc]
            for size in sizes
        ]

    def ignore_codes(self) -> None:
        """Make the tower a function of its conditioning alone, whatever the codes."""
        for level in self.levels:
            level.ignore_code()  # type: ignore[operator]

    def mapping_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the mapping networks, which learn at a rate of their own."""
        for level in self.levels:
            yield from level.mapping.parameters()  # type: ignore[union-attr]

    def other_parameters(self) -> Iterator[nn.Parameter]:
        """All other parameters."""
        mapping = {id(parameter) for parameter in self.mapping_parameters()}
        return (p for p in self.parameters() if id(p) not in mapping)

    def begin(self, conditioning: Sequence[Tensor]) -> TowerState:
        """The empty prefix of B images.

        Args:
            conditioning: per level (B, 3, h, w) RGB or (B, 1, h, w) lightness in [0, 1], coarse
                first; super-resolution takes one picture, the input.
        """
        expected = 1 if self.wiring is Wiring.SUPER_RESOLUTION else self.settings.levels
        if len(conditioning) != expected:
            raise ValueError(
                f"{self.wiring} takes {expected} conditioning images, not {len(conditioning)}"
            )
        return TowerState(tuple(conditioning), (), None, None)

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
        below: Level = self.levels[level - 1]  # type: ignore[assignment]
        if below.draws_after_up:
            return state.feature
        assert below.up is not None
        return below.up(state.feature)

    def step(self, level: int, state: TowerState, code: LevelCode) -> tuple[Tensor, TowerState]:
        """Extend a prefix by one level.

        Args:
            level: level, from 0; `state` must be the prefix of the levels below.
            state: prefix of B images.
            code: code of B*K rows, the K candidates of an image contiguous.

        Returns:
            The level's image (B*K, 3, H, W) in [0, 1], and the prefix of B*K rows.
        """
        part: Level = self.levels[level]  # type: ignore[assignment]
        rows = code.noise.shape[0]
        style = part.mapping(code.style, state.styles)
        features = part.enter(
            self._conditioning(level, state), code.noise, self._feature(level, state)
        )
        feature = part.body(features, style)
        if part.draws_after_up:
            assert part.up is not None
            feature = part.up(feature)
        reached = TowerState(
            state.conditioning,
            (*(_repeat(lower, rows) for lower in state.styles), style),
            feature,
            part.draw(feature),
        )
        return self._picture(level, reached), reached

    def _picture(self, level: int, state: TowerState) -> Tensor:
        """The image (B, 3, H, W) in [0, 1] of a raw output."""
        assert state.image is not None
        if self.wiring is Wiring.COLOURIZATION:
            light = _repeat(state.conditioning[level], state.image.shape[0])
            return chroma_to_rgb(light.float(), state.image)
        return (state.image + 1) / 2

    def forward(self, conditioning: Sequence[Tensor], codes: Sequence[LevelCode]) -> list[Tensor]:
        """All levels' images (B, 3, H, W) in [0, 1], coarse first: the fold of `step`."""
        state = self.begin(conditioning)
        images = []
        for level, code in enumerate(codes):
            image, state = self.step(level, state, code)
            images.append(image)
        return images
