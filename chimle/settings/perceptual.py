"""The perceptual distance."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from chimle.settings.settings_base import Settings

OFFICIAL_NAME, RANDOM_NAME = "official", "random"
"""Values of `perceptual.weights` that are no file."""


class PerceptualSettings(Settings):
    """The distance that search and training minimise, and that evaluation scores with."""

    distance: Literal["lpips", "gradients"] = "lpips"
    """What search and training minimise: LPIPS over the backbone, or a distance without weights
    (`chimle.perceptual.gradients`), for runs that have no weights. Evaluation scores with the
    backbone in either case."""
    backbone: Literal["vgg", "alex", "squeeze"] = "squeeze"
    """LPIPS backbone."""
    weights: str = Field("official", min_length=1)
    """The backbone's weights: `official`, trained on ImageNet, from torch's cache or downloaded;
    `random`, fixed-seed random features, whose metrics compare within one run only; or a
    .safetensors or .pth file. None stands in for another."""
    scales: tuple[int, ...] = (1,)
    """Whole factors by which images are enlarged before the backbone, in training and search; the
    distance is the mean over them. (1,): LPIPS itself."""
    shift: int = Field(0, ge=0)
    """Pixels by which images and targets are shifted together, at random up to this many down and
    to the right and reflected at the border, before they are compared in a gradient step: a
    strided backbone else sees one phase of its stride. 0: never."""
    turn: bool = False
    """Flip and turn images and targets together, at random, before they are compared in a gradient
    step: a backbone's filters else favour textures along one diagonal."""

    @property
    def weights_file(self) -> str | None:
        """The file that `weights` names; None: it names none."""
        return None if self.weights in (OFFICIAL_NAME, RANDOM_NAME) else self.weights

    @property
    def random_views(self) -> bool:
        """Whether images are moved before they are compared (`chimle.perceptual.random_view`)."""
        return self.shift > 0 or self.turn

    @model_validator(mode="after")
    def _scales_of_backbone(self) -> "PerceptualSettings":
        if self.distance == "gradients" and self.scales != (1,):
            raise ValueError(
                "`scales` are those of a backbone, which `distance: gradients` has not"
            )
        return self

    @field_validator("scales")
    @classmethod
    def _scales(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1 or max(value) > 8 or len(set(value)) != len(value):
            raise ValueError("needs different whole factors from 1 to 8")
        return value
