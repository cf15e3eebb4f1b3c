"""Samples and their scores."""

from pydantic import Field

from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.settings_base import SeededSettings, Settings


class EvaluateSettings(Settings):
    """Samples and their scores."""

    samples: int = Field(10, ge=2)
    """Samples per test input."""
    batch_size: int = Field(16, ge=1)
    """Images in a network at once; never changes a number beyond rounding."""
    gallery: int = Field(8, ge=1)
    """Test inputs shown in the report."""
    inception: str | None = None
    """The FID's official Inception weights, for `fid`, `kid` and numbers over its features: a
    file, or `official` for torch's usual cache and then the download; either must have the
    published SHA-256. None: only the distances over the LPIPS backbone's features, under their
    own names."""
    resamples: int = Field(1000, ge=100)
    """Draws of the bootstrap over test inputs, which the intervals come from."""


class EvaluateStageSettings(SeededSettings):
    """What the evaluation of a model depends on, beside the model and its pairs."""

    perceptual: PerceptualSettings = PerceptualSettings()
    """The distance that samples are scored with."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """Samples and their scores."""
