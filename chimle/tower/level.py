"""One level of the Tower Implicit Model (paper, section 3.2): mapping, entry, body, up, output."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chimle.device import nhwc
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.blocks import Body, Convolution, Up
from chimle.tower.mapping import Mapping

FEATURE_SCALE = 0.1
"""Factor on the feature that a level takes from the one below (published `feat_scales`)."""


class Level(nn.Module):
    """One level of the tower.

    Args:
        settings: sizes.
        wiring: how levels are joined.
        level: its number, from 0.
    """

    def __init__(self, settings: TowerSettings, wiring: Wiring, level: int) -> None:
        super().__init__()
        width = self.width = settings.widths[level]
        self.growth = settings.growth[level]
        last = level == settings.levels - 1
        chroma = wiring is Wiring.COLOURIZATION
        self.conditioning_channels = 1 if chroma else 3
        self.noise_channels = settings.noise_channels
        below = settings.widths[level - 1] if level else 0
        self.draws_after_up = wiring is Wiring.SUPER_RESOLUTION or (chroma and last)
        self.mapping = Mapping(
            settings.style_size, settings.mapping_width, settings.mapping_depth, level
        )
        self.input = Convolution(self.conditioning_channels + self.noise_channels + below, width)
        self.body = Body(width, self.growth, settings.blocks, settings.mapping_width)
        # The generic task's last level needs no way up; it is built only where it runs.
        self.up: Up | None = None
        if not last or self.draws_after_up:
            self.up = Up(width, enlarge=not (chroma and last))
        self.out = Convolution(width, 2 if chroma else 3)

    @torch.no_grad()
    def scale_noise_weights(self, share: float) -> None:
        """Scale the noise's weights in the first convolution by `share`."""
        start, stop = self.conditioning_channels, self.conditioning_channels + self.noise_channels
        weight = self.input.weight()
        weight[:, start:stop] *= share
        self.input.set_weight(weight)

    @torch.no_grad()
    def scale_style_weights(self, share: float) -> None:
        """Scale the weights that read the style code by `share`."""
        self.mapping.embedding.weight *= share

    @torch.no_grad()
    def ignore_code(self) -> None:
        """Zero every weight that reads the code: the level's image no longer depends on it.

        Trained with codes of zeros, those weights have no gradient and stay zero.
        """
        self.scale_noise_weights(0.0)
        self.scale_style_weights(0.0)

    def enter(self, conditioning: Tensor, noise: Tensor, feature: Tensor | None) -> Tensor:
        """The level's first convolution, of (B, ...) prefix parts and (B*K, ...) noise.

        A convolution of a concatenation is the sum of convolutions of its parts: the prefix's part
        is computed for B images only. One candidate is computed as many are, so that the number of
        candidates in a chunk changes no rounding.
        """
        kernel = self.input.kernel()
        start, stop = self.conditioning_channels, self.conditioning_channels + self.noise_channels
        prefix, prefix_kernel = conditioning, kernel[:, :start]
        if feature is not None:
            prefix = torch.cat((conditioning, feature * FEATURE_SCALE), dim=1)
            prefix_kernel = torch.cat((prefix_kernel, kernel[:, stop:]), dim=1)
        shared = F.conv2d(nhwc(prefix), nhwc(prefix_kernel), self.input.bias, padding=1)
        own = F.conv2d(nhwc(noise), nhwc(kernel[:, start:stop]), padding=1)
        if noise.shape[0] == conditioning.shape[0]:
            return own + shared
        repeats = noise.shape[0] // conditioning.shape[0]
        summed: Tensor = own.unflatten(0, (-1, repeats)) + shared.unsqueeze(1)
        return summed.flatten(0, 1)

    def draw(self, feature: Tensor) -> Tensor:
        """(B, width, h, w) to the raw output (B, 2 or 3, h, w) in [-1, 1], fp32."""
        return torch.tanh(self.out(feature).float())
