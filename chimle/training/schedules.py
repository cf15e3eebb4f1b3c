"""Learning-rate schedules: factors on the learning rate as a run goes on."""

import math

from chimle.settings.train import TrainSettings


def learning_rate_factor(settings: TrainSettings, step: int, progress: float) -> float:
    """The factor on the learning rate in a gradient step.

    Args:
        settings: schedule, start of the decay and warm-up.
        step: number of the step in the run, from 1.
        progress: share of the run that is done, in [0, 1].
    """
    factor = min(1.0, step / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "cosine":
        decayed = max(0.0, progress - settings.decay_start) / (1 - settings.decay_start)
        factor *= 0.5 * (1 + math.cos(math.pi * min(1.0, decayed)))
    return factor
