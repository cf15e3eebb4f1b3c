"""Weights in the published implementation's parameter names."""

import re
from collections.abc import Mapping

from torch import Tensor

from chimle.errors import UserError
from chimle.tower.generator import Tower

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), template)
    for pattern, template in (
        (r"level_(\d+)_map_0\.0", "levels.{0}.mapping.embedding"),
        (r"level_(\d+)_map\.(\d+)", "levels.{0}.mapping.layers.{1}"),
        (r"level_(\d+)_feat\.0", "levels.{0}.input"),
        (
            r"level_(\d+)_style\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0",
            "levels.{0}.body.blocks.{1}.dense.{2}.convolutions.{3}",
        ),
        (r"level_(\d+)_style\.sub\.transform_(\d+)", "levels.{0}.body.styles.{1}.affine"),
        (r"level_(\d+)_style\.sub\.lr_conv\.0", "levels.{0}.body.last"),
        (r"level_(\d+)_up\.[01]", "levels.{0}.up.first"),
        (r"level_(\d+)_up\.[23]", "levels.{0}.up.second"),
        (r"level_(\d+)_out\.0", "levels.{0}.out"),
    )
)


def our_name(published: str) -> str | None:
    """Our name of a published parameter; None for a name that the published towers lack."""
    module, _, kind = published.rpartition(".")
    for number, (pattern, template) in enumerate(_PATTERNS):
        match = pattern.fullmatch(module)
        if not match:
            continue
        indices = [int(group) for group in match.groups()]
        indices[0] -= 1
        if number == 1:
            indices[1] //= 2  # activations sit between the linear layers
        if number == 3:
            indices[2:] = [index - 1 for index in indices[2:]]
        return f"{template.format(*indices)}.{kind}"
    return None


def load_published(tower: Tower, state: Mapping[str, Tensor]) -> None:
    """Fill a tower of the right sizes from a published generator's state dict.

    The generic task's last `up`, which the published code holds but never runs, is left out.

    Raises:
        UserError: a name is unknown, missing, or of another shape.
    """
    own = tower.state_dict()
    renamed = {}
    for name, value in state.items():
        ours = our_name(name)
        if ours is None:
            raise UserError(f"`{name}` is no parameter of a published generator")
        if ours not in own and f"levels.{tower.settings.levels - 1}.up." in ours:
            continue
        if ours not in own or own[ours].shape != value.shape:
            raise UserError(f"`{name}` {tuple(value.shape)} does not fit a tower of these sizes")
        renamed[ours] = value
    missing = sorted(set(own) - set(renamed))
    if missing:
        raise UserError(f"the published weights lack what this tower calls `{missing[0]}`")
    tower.load_state_dict(renamed)
