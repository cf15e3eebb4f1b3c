"""Sizes of the generator."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from chimle.settings.settings_base import Settings
from chimle.tasks import Wiring

MOST_LEVELS = 12
"""Levels of a tower; the finest image is then 2048 times the coarsest."""
MOST_CHANNELS = 2**20
"""Channels, normals or widths, far more than any memory holds; the size of a weight that they
make is still a number of 64 bits."""
SMALLEST_RESOLUTION = 8
"""Side of a finest image, at least."""


class TowerSettings(Settings):
    """Sizes of the Tower Implicit Model. Lists have one entry per level, coarse first."""

    resolution: int = Field(64, ge=SMALLEST_RESOLUTION)
    """Side of the finest level's image, pixels."""
    widths: tuple[int, ...] = (32, 24, 16, 16)
    """Channels of the residual trunk per level (published: 128, 64, 64, 64)."""
    growth: tuple[int, ...] = (16, 16, 8, 8)
    """Channels added by each convolution of a dense block (published: 256, 192, 128, 64)."""
    blocks: int = Field(1, ge=1, le=64)
    """Residual-in-residual dense blocks per level (published: 6)."""
    style_size: int = Field(128, ge=1, le=MOST_CHANNELS)
    """Normals in a level's style code (published: 128)."""
    noise_channels: int = Field(5, ge=1, le=MOST_CHANNELS)
    """Channels of a level's spatial noise (published: 5)."""
    mapping_width: int = Field(512, ge=1, le=MOST_CHANNELS)
    """Width of the mapping networks (published: 512)."""
    mapping_depth: int = Field(8, ge=1, le=64)
    """Linear layers of a mapping network, the embedding included (published: 8). 1: there is no
    network, a level's style is one layer of its own code and knows nothing of lower ones."""
    initialisation: Literal["live", "published"] = "live"
    """`live`: the style code changes the image from the start; `published`: Kaiming times 0.1,
    under which it does not (see docs/decisions.md)."""

    agreement: Literal["exact", "none"] = "exact"
    """`exact`: after every level the image is replaced by the nearest one that agrees with the
    input, where the degradation is known (`chimle.tower.consistency`); `none`: the published
    method, and what imported checkpoints have."""

    @field_validator("widths", "growth")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(value) <= MOST_LEVELS or min(value) < 1 or max(value) > MOST_CHANNELS:
            raise ValueError(
                f"needs 1 to {MOST_LEVELS} levels and channel counts from 1 to {MOST_CHANNELS:,}"
            )
        return value

    @model_validator(mode="after")
    def _one_entry_per_level(self) -> "TowerSettings":
        if len(self.widths) != len(self.growth):
            raise ValueError(
                f"`widths` has {len(self.widths)} levels but `growth` has {len(self.growth)}"
            )
        if self.resolution % 2 ** len(self.widths):
            raise ValueError(
                f"`resolution` {self.resolution} must be divisible by 2^{len(self.widths)}, "
                "once for every level"
            )
        return self

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return len(self.widths)

    def output_sizes(self) -> tuple[int, ...]:
        """Side of every level's image, coarse first: resolution / 2^(L-1) .. resolution."""
        return tuple(self.resolution >> (self.levels - 1 - i) for i in range(self.levels))

    def working_sizes(self, wiring: Wiring) -> tuple[int, ...]:
        """Side at which every level's body and noise live.

        The output sizes, halved for super-resolution, whose levels enlarge before they draw.
        """
        halve = wiring is Wiring.SUPER_RESOLUTION
        return tuple(size >> int(halve) for size in self.output_sizes())
