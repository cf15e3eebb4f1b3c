"""Evaluation of images in memory: `chimle.score`, as `chimle score` evaluates files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from chimle.api.given_degradation import given_degradation
from chimle.device import choose_device
from chimle.errors import UserError
from chimle.inference.inputs import AnyImage, as_array
from chimle.inference.sample_names import LARGEST_SEED, whole
from chimle.metrics.evaluator import EvaluationConfig, evaluate, flat_values
from chimle.metrics.inception import load_inception
from chimle.metrics.prediction import Prediction
from chimle.metrics.registry import split_headline
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.reading import build_settings
from chimle.tasks import get_task


def score(
    samples: Sequence[Sequence[AnyImage]],
    targets: Sequence[AnyImage],
    inputs: Sequence[AnyImage] | None = None,
    *,
    task: str | None = None,
    backbone: str = "squeeze",
    weights: str = "official",
    inception: str | None = None,
    degradation: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Evaluate the samples of one or several inputs, of any origin.

    Args:
        samples: per input as many samples as for every other input.
        targets: per input the observed target, of the samples' size.
        inputs: of their targets' sizes; for `super_resolution`, and without `task`, they may be
            smaller by any factor, with the same aspect. None: agreement with the input and the
            input baseline are left out.
        task: defines agreement with the input; None: it is not measured.
        backbone: of LPIPS: `squeeze`, `alex` or `vgg`.
        weights: of the backbone: `official`, `random` (fixed; compare within one run only), or a
            file.
        inception: file of the FID's weights or `official`; None: no FID.
        degradation: parameters of the degradation of the task's inputs, as `{"jpeg_quality": 5}`.
        seed: of the bootstrap intervals.

    Returns:
        Metrics by name, the headline ones first. `_low` and `_high` behind a name are the ends of
        its interval, `input_baseline_` before it is the input's own value.

    Raises:
        TypeError: an image is of another type.
        UserError: numbers or sizes do not fit, `seed` is out of bounds, the task's degradation has
            no such parameter, or weights are missing.
    """
    for name, others in (("targets", targets), ("inputs", inputs)):
        if others is not None and len(others) != len(samples):
            raise UserError(
                f"{len(others)} {name} for the samples of {len(samples)} inputs: give one each"
            )
    if task is not None and inputs is None:
        raise UserError("`task` measures agreement with inputs: give them by `inputs`")
    whole("seed", seed, 0, LARGEST_SEED)
    definition = None if task is None else get_task(task)
    degrading = given_degradation(degradation, definition)
    device = str(choose_device())
    perceptual = build_settings(
        PerceptualSettings, {"backbone": backbone, "weights": weights}, "score"
    )
    config = EvaluationConfig(
        perceptual=load_perceptual(perceptual, device, parameter="weights"),
        inception=load_inception(inception, device, parameter="inception"),
        task=definition,
        degradation=degrading,
        seed=seed,
    )
    headline, details = split_headline(
        flat_values(*evaluate(_predictions(samples, targets, inputs), config))
    )
    return headline | details


def _predictions(
    samples: Sequence[Sequence[AnyImage]],
    targets: Sequence[AnyImage],
    inputs: Sequence[AnyImage] | None,
) -> Iterator[Prediction]:
    """Predictions named by their numbers."""
    for number, (drawn, target) in enumerate(zip(samples, targets, strict=True)):
        arrays = [as_array(sample) for sample in drawn]
        if not arrays:
            raise UserError(f"input {number} has no sample: give at least one")
        if len({array.shape for array in arrays}) > 1:
            raise UserError(f"the samples of input {number} are of several sizes")
        given = None if inputs is None else as_array(inputs[number])
        yield Prediction(f"{number:06}", np.stack(arrays), as_array(target), given)
