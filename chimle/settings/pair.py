"""How pairs are cut, split and degraded."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from chimle.settings.degradation import DegradationSettings
from chimle.settings.settings_base import SeededSettings
from chimle.settings.timelapse import TimelapseSettings
from chimle.tasks import Degradation


class PairSettings(DegradationSettings):
    """How pairs are cut and degraded."""

    size: int = Field(64, ge=16)
    """Side of the square target, pixels. At least the tower's resolution; larger pairs are
    cropped at random in training."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of groups (images or regions) held out for validation."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of groups held out for the test split."""
    group: Literal["image", "folder"] | Annotated[int, Field(ge=1)] = "image"
    """What never straddles splits: an image, a folder of images (a species, a camera), or all
    images of a folder whose file names begin with the same so many characters."""
    limit: int | None = Field(None, ge=1)
    """At most this many pairs per split, chosen by hash; None: all."""
    small: Literal["refuse", "skip"] = "refuse"
    """What to do with an image that is smaller than `size`, whose own input is smaller than an
    input of that size, or whose width is odd where its halves are a pair: `refuse` stops, `skip`
    leaves it out and lists it."""
    duplicates: Literal["drop", "report", "keep"] = "drop"
    """Near-duplicates of images: `drop` leaves them out of the training split where the other image
    is held out or in the split already, `report` only lists them, `keep` does not look for them."""
    duplicate_bits: int = Field(10, ge=0, le=16)
    """Bits of 64 in which the perceptual hashes of near-duplicates may differ; such candidates
    are then compared by pixels."""
    duplicate_likeness: float = Field(0.95, gt=0, le=1)
    """Correlation of the reduced images from which candidates count as near-duplicates."""
    timelapse: TimelapseSettings | None = None
    """Night to day: the source holds folders of frames, one per fixed camera, whose nights are the
    inputs of their days."""

    @model_validator(mode="after")
    def _leaves_training(self) -> "PairSettings":
        if self.validation + self.test >= 1:
            raise ValueError("`validation` + `test` must stay below 1, or no training pair is left")
        return self


class PairStageSettings(SeededSettings):
    """What the pairs of a task depend on, beside the fetched source."""

    pair: PairSettings = PairSettings()
    """How pairs are cut, split and degraded."""

    @model_validator(mode="after")
    def _pairs_agree(self) -> "PairStageSettings":
        reduction = self.definition.reduction
        if self.pair.size % reduction:
            raise ValueError(f"`pair.size` {self.pair.size} must be divisible by {reduction}")
        if self.pair.timelapse and self.definition.degradation is not Degradation.NIGHT:
            raise ValueError(f"`pair.timelapse` makes nights and days, which {self.task} has not")
        return self
