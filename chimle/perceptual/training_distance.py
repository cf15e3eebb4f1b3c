"""The distance that search and training minimise."""

from pathlib import Path

from chimle.perceptual.distance import Distance
from chimle.perceptual.gradients import NAME, GradientDistance
from chimle.perceptual.lpips import Perceptual, feature_names, load_perceptual
from chimle.settings.perceptual import PerceptualSettings


def load_training_distance(
    settings: PerceptualSettings, device: str = "cpu", root: Path = Path()
) -> Distance:
    """The distance that the settings name, on a device; for others see `load_perceptual`."""
    if settings.distance == "gradients":
        return GradientDistance().to(device)
    return load_perceptual(settings, device, root)


def described(distance: Distance) -> dict[str, str]:
    """Name, and origin and hash of the weights, for the provenance of a model."""
    if not isinstance(distance, Perceptual):
        return {"name": NAME, "origin": "none"}
    info = distance.info
    return {"name": info.name, "origin": info.origin, "sha256": info.sha256}


def trained_features(settings: PerceptualSettings, network: str) -> tuple[str, ...]:
    """Names in metrics of a network's features that training minimised distances of."""
    if settings.distance == "gradients":
        return ()
    return feature_names(network, settings.scales)
