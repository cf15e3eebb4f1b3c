"""Parameters of the degradations that make an input from a target."""

from pydantic import Field

from chimle.settings.settings_base import Settings


class DegradationSettings(Settings):
    """Parameters of the degradations. Pairs record theirs in the manifest, models in the bundle."""

    jpeg_quality: int = Field(1, ge=1, le=100)
    """Decompression: Pillow's JPEG quality. 1 is the lowest."""
    night_exposure: float = Field(0.12, gt=0, le=1)
    """Night rendering: mean exposure relative to the day, linear light."""
    night_noise: float = Field(0.02, ge=0, le=1)
    """Night rendering: standard deviation of sensor noise, fraction of full scale."""
