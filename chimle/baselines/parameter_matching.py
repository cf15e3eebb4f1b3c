"""As many parameters for every method: what a network has, and a tower that comes to a number."""

import torch
from torch import nn

from chimle.settings import RunSettings
from chimle.tower.generator import Tower


def count_parameters(module: nn.Module) -> int:
    """Numbers that a network has learnt or will."""
    return sum(parameter.numel() for parameter in module.parameters())


def tower_parameters(settings: RunSettings) -> int:
    """Parameters of the tower that the settings describe."""
    with torch.device("meta"):
        return count_parameters(Tower(settings.tower, settings.definition.wiring))


def _with_style_width(settings: RunSettings, width: int) -> RunSettings:
    tower = settings.tower.model_copy(update={"mapping_width": width})
    return settings.model_copy(update={"tower": tower})


def widened_styles(settings: RunSettings, parameters: int) -> RunSettings:
    """The settings with styles so wide that the tower comes nearest to a number of parameters.

    For a tower without mapping networks, whose size is linear in the width of its styles.
    """
    assert settings.tower.mapping_depth == 1
    one, two = (tower_parameters(_with_style_width(settings, width)) for width in (1, 2))
    return _with_style_width(settings, max(1, 1 + round((parameters - one) / (two - one))))
