"""What a model was fitted to, so that its measures say whether they judge it independently."""

from chimle.metrics.registry import SPECTRUM
from chimle.perceptual.training_distance import trained_features
from chimle.settings.perceptual import PerceptualSettings


def seen_features(settings: PerceptualSettings, network: str, *, filtered: bool) -> tuple[str, ...]:
    """Names in metrics of what a model was fitted to.

    Args:
        settings: of the distance that its training minimised.
        network: name in metrics of the features that evaluate, as `squeeze`.
        filtered: whether the finished model has a filter (`train.equaliser`).

    Returns:
        Features whose distances training minimised, and `spectrum` where there is a filter.
    """
    return (*trained_features(settings, network), *((SPECTRUM,) if filtered else ()))
