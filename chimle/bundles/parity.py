"""Comparison of a tower with recorded outputs of the published implementation.

A recording is a file for `torch.load(weights_only=True)` with `inputs` (conditioning images, coarse
first), `codes` (a flat code per level: style, then noise as channel, height, width) and `outputs`
(per level the tanh output, or the image in [0, 1]).
"""

from pathlib import Path

import torch
from torch import Tensor

from chimle.errors import UserError
from chimle.io.tensor_files import read_tensors
from chimle.tasks import Wiring
from chimle.tower.generator import LevelCode, Tower

TOLERANCE = 1e-5
"""Largest difference allowed of raw outputs and of images linear in them, fp32."""
COLOUR_TOLERANCE = 1 / 255
"""Largest difference allowed of images that are converted through Lab."""


def _read(path: Path) -> dict[str, list[Tensor]]:
    content = read_tensors(path, "record it again, as tensors alone")
    try:
        recorded = {key: content[key] for key in ("inputs", "codes", "outputs")}
    except (KeyError, TypeError, IndexError):
        raise UserError(f"{path} is no recording: it needs `inputs`, `codes`, `outputs`") from None
    for key, tensors in recorded.items():
        if isinstance(tensors, Tensor):
            recorded[key] = [tensors]
        elif not (isinstance(tensors, list | tuple) and all(map(torch.is_tensor, tensors))):
            raise UserError(f"{path}: `{key}` must be a list of tensors")
    return recorded


def _difference(tower: Tower, raw: Tensor, image: Tensor, recorded: Tensor) -> tuple[float, float]:
    """Largest difference of a level's output to the recorded one, and the difference allowed."""
    colour = tower.wiring is Wiring.COLOURIZATION and recorded.shape[1] == 3
    # A tanh output has negative values, an image has none.
    own = raw if recorded.shape[1] == 2 or recorded.min() < 0 else image
    if own.shape != recorded.shape:
        raise UserError(f"a recorded output is {tuple(recorded.shape)}, not {tuple(own.shape)}")
    return float((own - recorded).abs().max()), COLOUR_TOLERANCE if colour else TOLERANCE


@torch.no_grad()
def compare(tower: Tower, path: Path) -> str:
    """One line: the differences between a tower's outputs and a recording.

    Raises:
        UserError: the recording does not fit the tower, or the outputs differ by more than allowed.
    """
    recorded, levels = _read(path), tower.settings.levels
    for key in ("codes", "outputs"):
        if len(recorded[key]) != levels:
            raise UserError(
                f"{path} has `{key}` of {len(recorded[key])} levels, these weights have {levels}"
            )
    inputs = recorded["inputs"]
    if tower.wiring is Wiring.SUPER_RESOLUTION:
        inputs = inputs[:1]
    try:
        state = tower.begin(inputs)
        shapes = tower.code_shapes_for(inputs)
        differences = []
        for level, (flat, output) in enumerate(
            zip(recorded["codes"], recorded["outputs"], strict=True)
        ):
            style_size, *noise_shape = shapes[level]
            style, noise = flat[:, :style_size], flat[:, style_size:].reshape(-1, *noise_shape)
            image, state = tower.step(level, state, LevelCode(style, noise))
            assert state.image is not None
            differences.append(_difference(tower, state.image, image, output))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit these weights ({reason})") from None
    text = ", ".join(f"{found:.1e}" for found, _ in differences)
    if not all(found <= allowed for found, allowed in differences):  # NaN is not.
        limits = max(allowed for _, allowed in differences)
        raise UserError(f"outputs differ from {path} by {text} per level, allowed is {limits:.1e}")
    return f"outputs equal {path}: largest difference per level {text}"
