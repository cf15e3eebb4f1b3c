"""How a tower starts.

Convolutions keep torch's default scale, but for the way up at a live start: weight normalisation
overwrites whatever the published recipe does to them. What differs is the path of the style code:

- `live`: the mapping networks' linear layers are Kaiming normal for the leaky ReLU, which keeps
  the variance of a style through any depth; the modulation's linear layers make (s, t) with a
  standard deviation of about `MODULATION` each, so that a style visibly moves the picture from
  the first step on; the noise's share of a level's first convolution is `NOISE_SHARE` of the
  default, for it would else drown what the picture is conditioned on and take most of a short
  run to be tamed; the convolutions of the way up keep their input's variance, which torch's default
  would cut sevenfold on its way to the next level.
- `published`: Kaiming normal (fan in) times 0.1 everywhere. Eight layers, each scaled by 0.1, leave
  the styles with a standard deviation of about 5e-9: the style code is dead. For comparison only.
"""

from typing import TYPE_CHECKING, Literal

from torch import nn

from chimle.tower.blocks import SLOPE, StyleModulation, Up
from chimle.tower.mapping import Mapping

if TYPE_CHECKING:
    from chimle.tower.generator import Tower

MODULATION = 0.2
"""Standard deviation of scale and shift over styles at a live start."""
NOISE_SHARE = 0.1
"""Scale of a first convolution's noise weights at a live start, relative to the others."""
PUBLISHED_SCALE = 0.1
"""The published recipe's factor on every Kaiming-initialised layer."""


def _linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _keep_variance(conv: nn.Conv2d) -> None:
    """Kaiming normal through the weight normalisation."""
    weight = conv.weight.detach().clone()
    nn.init.kaiming_normal_(weight, a=SLOPE, nonlinearity="leaky_relu")
    conv.weight = weight  # type: ignore[assignment]


def initialise(tower: "Tower", scheme: Literal["live", "published"]) -> None:
    """Set a fresh tower's linear layers and biases; draws from torch's global generator."""
    for module in tower.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, Mapping):
            for layer in _linear_layers(module):
                nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
        if isinstance(module, StyleModulation):
            nn.init.normal_(module.affine.weight, std=MODULATION * module.affine.in_features**-0.5)
        if isinstance(module, Up) and scheme == "live":
            _keep_variance(module.first)
            _keep_variance(module.second)
    if scheme == "live":
        for level in tower.levels:
            level.quieten_noise(NOISE_SHARE)  # type: ignore[operator]
    if scheme == "published":
        for layer in _linear_layers(tower):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(PUBLISHED_SCALE)
