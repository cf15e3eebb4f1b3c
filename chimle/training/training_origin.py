"""Provenance of a training, for the model of the pipeline and that of `chimle.train`."""

from collections.abc import Mapping
from typing import Any

from chimle.bundles.start_weights import StartWeights
from chimle.provenance import digest
from chimle.settings.model_settings import ModelSettings


def training_origin(
    settings: ModelSettings,
    pairs_sha256: str,
    extractor: Mapping[str, str],
    start: StartWeights | None = None,
) -> dict[str, Any]:
    """The part of a model's provenance that its training determines.

    Args:
        settings: of the training.
        pairs_sha256: SHA-256 of its pairs.
        extractor: name and origin of the distance (`chimle.perceptual.training_distance`).
        start: the weights that it started from; None: from scratch.
    """
    relevant = settings.model_dump(mode="json", exclude={"preset"})
    return {
        "pairs_sha256": pairs_sha256,
        "settings": relevant,
        "settings_sha256": digest(relevant),
        "preset": settings.preset,
        "seed": settings.seed,
        "extractor": dict(extractor),
        **({} if start is None else {"start_sha256": start.sha256}),
    }
