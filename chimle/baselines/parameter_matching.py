"""Equal numbers of parameters for all methods."""

import torch
from torch import nn

from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import Tower


def count_parameters(module: nn.Module) -> int:
    """Number of parameters of a network."""
    return sum(parameter.numel() for parameter in module.parameters())


def tower_parameters(settings: ModelSettings) -> int:
    """Parameters of the tower that the settings describe."""
    with torch.device("meta"):
        return count_parameters(Tower(settings.tower, settings.definition.wiring))


def _with_style_width(settings: ModelSettings, width: int) -> ModelSettings:
    tower = settings.tower.model_copy(update={"mapping_width": width})
    return settings.model_copy(update={"tower": tower})


def widened_styles(settings: ModelSettings, parameters: int) -> ModelSettings:
    """Settings whose style width brings the tower nearest to a number of parameters.

    For a tower without mapping networks, whose size is linear in the width of its styles.
    """
    assert settings.tower.mapping_depth == 1
    one, two = (tower_parameters(_with_style_width(settings, width)) for width in (1, 2))
    return _with_style_width(settings, max(1, 1 + round((parameters - one) / (two - one))))
