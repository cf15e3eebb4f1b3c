"""How a tower starts.

Convolutions keep torch's default scale, but for the way up at a live start: weight normalisation
overwrites whatever the published recipe does to them. What differs is the path of the style code:

- `live`: the mapping networks' linear layers are Kaiming normal for the leaky ReLU, which keeps
  the variance of a style through any depth; the modulation's linear layers make (s, t) with a
  standard deviation of about `MODULATION` each, so that a style visibly moves the picture from
  the first step on; the noise's share of a level's first convolution is `NOISE_SHARE` of the
  default, for it would else drown what the picture is conditioned on and take most of a short
  run to be tamed; the convolutions of the way up keep their input's variance, which torch's default
  would cut sevenfold on its way to the next level; and a level that is conditioned on colours
  starts near their picture (`_pass_through`), so that a short run improves on the input instead of
  learning to copy it.
- `published`: Kaiming normal (fan in) times 0.1 everywhere. Eight layers, each scaled by 0.1, leave
  the styles with a standard deviation of about 5e-9: the style code is dead. For comparison only.
"""

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from chimle.tasks import Wiring
from chimle.tower.blocks import SLOPE, StyleModulation, Up
from chimle.tower.mapping import Mapping

if TYPE_CHECKING:
    from chimle.tower.generator import Level, Tower

MODULATION = 0.5
"""Standard deviation of scale and shift over styles at a live start."""
NOISE_SHARE = 0.2
"""Scale of a first convolution's noise weights at a live start, relative to the others."""
CARRIERS = 6
"""Channels that carry the conditioning picture at a live start: each colour and its negative."""
OTHERS_SHARE = 0.1
"""Scale at a live start of what moves a carried picture, relative to torch's default."""
CONTRAST = 1.2
"""Gain on a carried picture, against what the tanh takes from its contrast."""
PUBLISHED_SCALE = 0.1
"""The published recipe's factor on every Kaiming-initialised layer."""


def _linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _keep_variance(conv: nn.Conv2d) -> None:
    """Kaiming normal through the weight normalisation."""
    weight = conv.weight.detach().clone()
    nn.init.kaiming_normal_(weight, a=SLOPE, nonlinearity="leaky_relu")
    conv.weight = weight  # type: ignore[assignment]


def _identity(conv: nn.Conv2d, rows: int) -> None:
    """Let the first `rows` channels pass unchanged."""
    weight = conv.weight.detach().clone()
    weight[:rows] = 0
    weight[range(rows), range(rows), 1, 1] = 1
    conv.weight = weight  # type: ignore[assignment]


@torch.no_grad()
def _pass_through(level: "Level", signed: bool) -> None:
    """Make a level's first picture its conditioning picture, moved by style and noise.

    A colour c in [-1, 1] travels as the pair (c, -c): the difference of the two, unlike c itself,
    passes leaky ReLUs as a mere factor.

    Args:
        level: a level of three-channel conditioning, at least `CARRIERS` wide.
        signed: the conditioning has values in [-1, 1], not in [0, 1].
    """
    weight, bias = level.input.weight.clone(), level.input.bias
    assert bias is not None and level.out.bias is not None
    weight[:CARRIERS] = 0
    out = level.out.weight * OTHERS_SHARE
    out[:, :CARRIERS] = 0
    factor = 2.0
    if level.draws_after_up and level.up is not None:
        factor = 1 + SLOPE**2
        _identity(level.up.first, CARRIERS)
        _identity(level.up.second, CARRIERS)
    for half, sign in enumerate((1.0, -1.0)):
        for colour in range(3):
            carrier = 3 * half + colour
            weight[carrier, colour, 1, 1] = sign if signed else 2 * sign
            bias[carrier] = 0.0 if signed else -sign
            out[colour, carrier, 1, 1] = sign * CONTRAST / factor
    level.input.weight, level.out.weight = weight, out  # type: ignore[assignment]
    last = level.body.last.weight.clone()
    last[:CARRIERS] *= OTHERS_SHARE
    level.body.last.weight = last


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
            level.scale_noise_weights(NOISE_SHARE)  # type: ignore[operator]
        for number, level in enumerate(tower.levels):
            if tower.wiring is not Wiring.COLOURIZATION and level.width >= CARRIERS:  # type: ignore[operator]
                signed = tower.wiring is Wiring.SUPER_RESOLUTION and number > 0
                _pass_through(level, signed)  # type: ignore[arg-type]
    if scheme == "published":
        for layer in _linear_layers(tower):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(PUBLISHED_SCALE)
