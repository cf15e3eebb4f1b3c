"""A run's beginning: the tower, its average and its optimiser before the first round."""

import torch

from chimle.bundles.start_weights import StartWeights
from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import Tower
from chimle.training.ema import WeightAverage
from chimle.training.training_state import Position, TrainingState


def initial_state(
    settings: ModelSettings, device: torch.device, start: StartWeights | None = None
) -> TrainingState:
    """A run's beginning: the weights of `start`, or those that follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        tower = Tower(settings.tower, settings.definition.wiring)
    if start is not None:
        tower.load_state_dict(start.state)
    if settings.train.codes == "none":
        tower.ignore_codes()
    tower.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train = settings.train
    optimizer = torch.optim.Adam(
        [
            {"params": list(tower.other_parameters()), "lr": train.learning_rate},
            {
                "params": list(tower.mapping_parameters()),
                "lr": train.learning_rate * train.mapping_rate,
            },
        ],
        betas=train.betas,
        fused=device.type != "mps",
    )
    return TrainingState(tower, WeightAverage(tower, train.ema), optimizer, Position())
