"""The perceptual distance."""

from typing import Literal

from chimle.settings.settings_base import Settings


class PerceptualSettings(Settings):
    """The distance that search and training minimise, and that evaluation scores with."""

    backbone: Literal["vgg", "alex", "squeeze"] = "squeeze"
    """LPIPS backbone."""
    weights: str | None = None
    """File with the backbone's ImageNet weights (.safetensors or .pth); None: torch's usual
    cache, then the official download."""
    allow_random: bool = False
    """Fall back to fixed-seed random features when no weights can be had (demo only)."""
