"""Agreement with the input: degrade a sample again and compare. Higher is better, except errors."""

import numpy as np

from chimle.images.colour import lightness
from chimle.images.degrade import degrade
from chimle.images.pyramid import to_tensor
from chimle.metrics.pairwise import psnr
from chimle.settings import PairSettings
from chimle.tasks import Degradation, Task


def consistency(
    samples: np.ndarray, inputs: np.ndarray, task: Task, settings: PairSettings
) -> dict[str, float]:
    """Agreement of (N, S, H, W, 3) samples with their (N, h, w, 3) inputs, uint8.

    - super-resolution: PSNR in dB at the input's size;
    - colourization: mean absolute error of Lab lightness, 0 to 100, lower is better;
    - decompression: PSNR in dB after the same compression;
    - night to day: none, since a night is no function of the day.
    """
    flat = samples.reshape(-1, *samples.shape[2:])
    repeated = np.repeat(inputs, samples.shape[1], axis=0)
    if task.degradation is Degradation.LIGHTNESS:
        mine, given = (lightness(to_tensor(list(p))) for p in (flat, repeated))
        return {"consistency_lightness_error": float(100 * (mine - given).abs().mean())}
    if task.degradation is Degradation.NIGHT:
        return {}
    again = np.stack([degrade(picture, task, settings, 0)[0] for picture in flat])
    name = "input_size" if task.degradation is Degradation.REDUCE else "jpeg"
    return {f"consistency_{name}_psnr": float(psnr(again, repeated).mean())}
