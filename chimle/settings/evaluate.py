"""Samples and their scores."""

from pydantic import Field

from chimle.settings.base import Settings


class EvaluateSettings(Settings):
    """Samples and their scores."""

    samples: int = Field(10, ge=2)
    """Samples per test input."""
    batch_size: int = Field(16, ge=1)
    """Test inputs times samples at once; never changes a number beyond rounding."""
    gallery: int = Field(8, ge=1)
    """Test inputs shown in the report."""
    inception: str | None = None
    """File with the FID Inception weights for `fid` and `kid`; None: only the distances over
    the LPIPS backbone's features, under their own names."""
