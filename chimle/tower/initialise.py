"""How a tower starts.

Convolutions keep torch's default scale, but for the way up at a live start: weight normalisation
overwrites whatever the published recipe does to them. What differs is the path of the style code:

- `live`: the mapping networks' linear layers are Kaiming normal for the leaky ReLU, which keeps
  the variance of a style through any depth; the modulation's linear layers make (s, t) with a
  standard deviation of about `MODULATION` each, so that a style visibly moves the image from
  the first step on; the noise's weights in a level's first convolution are `NOISE_SHARE` of the
  default, at which noise outweighs what the image is conditioned on for most of a short run; the
  convolutions of the way up keep their input's variance, which torch's default would cut sevenfold
  on its way to the next level; and a level that is conditioned on colours starts near their image
  (`_pass_through`), so that a short run improves on the input instead of learning to copy it.
- `published`: Kaiming normal (fan in) times 0.1 everywhere. Eight layers, each scaled by 0.1, leave
  the styles with a standard deviation of about 5e-9: the style code has no effect. For comparison
  only.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from chimle.tasks import Wiring
from chimle.tower.blocks import SLOPE, Convolution, StyleModulation, Up
from chimle.tower.level import Level
from chimle.tower.mapping import Mapping

Scheme = Literal["live", "published"]

MODULATION = 0.5
"""Standard deviation of scale and shift over styles at a live start."""
NOISE_SHARE = 0.2
"""Scale of a first convolution's noise weights at a live start, relative to the others."""
CARRIERS = 6
"""Channels that carry the conditioning image at a live start: each colour and its negative."""
OTHERS_SHARE = 0.1
"""Scale at a live start of what moves a carried image, relative to torch's default."""
CONTRAST = 1.2
"""Gain on a carried image, against what the tanh takes from its contrast."""
PUBLISHED_SCALE = 0.1
"""The published recipe's factor on every Kaiming-initialised layer."""


def _linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _keep_variance(convolution: Convolution) -> None:
    """Kaiming normal through the weight normalisation."""
    weight = convolution.weight().detach()
    nn.init.kaiming_normal_(weight, a=SLOPE, nonlinearity="leaky_relu")
    convolution.set_weight(weight)


def _pass_channels(convolution: Convolution, rows: int) -> None:
    """Make the convolution the identity on its first `rows` channels."""
    weight = convolution.weight().detach()
    weight[:rows] = 0
    weight[range(rows), range(rows), 1, 1] = 1
    convolution.set_weight(weight)


@torch.no_grad()
def _pass_through(level: Level, signed: bool) -> None:
    """Make a level's first image its conditioning image, moved by style and noise.

    A colour c in [-1, 1] travels as the pair (c, -c): the difference of the two, unlike c itself,
    passes leaky ReLUs as a mere factor.

    Args:
        level: a level of three-channel conditioning, at least `CARRIERS` wide.
        signed: the conditioning has values in [-1, 1], not in [0, 1].
    """
    weight, bias = level.input.weight(), level.input.bias
    weight[:CARRIERS] = 0
    out = level.out.weight() * OTHERS_SHARE
    out[:, :CARRIERS] = 0
    factor = 2.0
    if level.draws_after_up and level.up is not None:
        factor = 1 + SLOPE**2
        _pass_channels(level.up.first, CARRIERS)
        _pass_channels(level.up.second, CARRIERS)
    for half, sign in enumerate((1.0, -1.0)):
        for colour in range(3):
            carrier = 3 * half + colour
            weight[carrier, colour, 1, 1] = sign if signed else 2 * sign
            bias[carrier] = 0.0 if signed else -sign
            out[colour, carrier, 1, 1] = sign * CONTRAST / factor
    level.input.set_weight(weight)
    level.out.set_weight(out)
    last = level.body.last.weight()
    last[:CARRIERS] *= OTHERS_SHARE
    level.body.last.set_weight(last)


def _initialise_level(level: Level, number: int, wiring: Wiring, scheme: Scheme) -> None:
    for module in level.modules():
        if isinstance(module, Convolution | nn.Linear) and module.bias is not None:
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
        level.scale_noise_weights(NOISE_SHARE)
        if wiring is not Wiring.COLOURIZATION and level.width >= CARRIERS:
            _pass_through(level, wiring is Wiring.SUPER_RESOLUTION and number > 0)
    else:
        for layer in _linear_layers(level):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(PUBLISHED_SCALE)


def initialise(levels: Sequence[Level], wiring: Wiring, scheme: Scheme) -> None:
    """Set a fresh tower's linear layers and biases; draws from torch's global generator.

    Args:
        levels: coarse first.
        wiring: how they are joined.
        scheme: see the module's docstring.
    """
    for number, level in enumerate(levels):
        _initialise_level(level, number, wiring, scheme)
