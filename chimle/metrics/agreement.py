"""Agreement with the input: degrade a sample again and compare it with the input; per input."""

import numpy as np

from chimle.images.colour import lightness
from chimle.images.degrade import jpeg
from chimle.images.pyramid import reduce, to_tensor
from chimle.metrics.full_reference import psnr
from chimle.metrics.metric import Group, Metric
from chimle.settings import PairSettings
from chimle.tasks import Degradation, Task

METRICS = (
    Metric(
        "consistency_input_size_psnr",
        Group.AGREES,
        "agreement with the input once reduced to its size, dB",
        "PSNR of the sample, reduced by Pillow's antialiased bicubic filter, with the input",
        "as LR-PSNR of Lugmayr et al. 2021, NTIRE 2021 Learning the Super-Resolution Space "
        "Challenge, with Pillow's filter",
        0,
        58.93,
        higher_is_better=True,
        headline=True,
    ),
    Metric(
        "consistency_lightness_error",
        Group.AGREES,
        "lightness off the input's, of 100",
        "mean over pixels of |L(y_j) - L(x)|, L the Lab lightness (D65, 2 degrees)",
        "CIE 1976 L*a*b*",
        0,
        100,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "consistency_jpeg_psnr",
        Group.AGREES,
        "agreement with the input once compressed again, dB",
        "PSNR of the sample, through the same JPEG encoder at the same quality, with the input",
        "ITU-T T.81 (JPEG), Pillow's encoder",
        0,
        58.93,
        higher_is_better=True,
        headline=True,
    ),
)


def consistency(
    samples: np.ndarray, given: np.ndarray, task: Task, settings: PairSettings
) -> dict[str, float]:
    """Agreement of (S, H, W, 3) samples with their input (h, w, 3), uint8.

    - super-resolution: PSNR in dB at the input's size;
    - colourization: mean absolute error of Lab lightness, 0 to 100, lower is better;
    - decompression: PSNR in dB after the same compression;
    - night to day: none, since a night is no function of the day.
    """
    if task.degradation is Degradation.LIGHTNESS:
        mine, wanted = (lightness(to_tensor(list(p))) for p in (samples, given[None]))
        return {"consistency_lightness_error": float(100 * (mine - wanted).abs().mean())}
    if task.degradation is Degradation.NIGHT:
        return {}
    if task.degradation is Degradation.REDUCE:
        size = (given.shape[0], given.shape[1])
        name, again = "input_size", [reduce(image, size) for image in samples]
    else:
        name, again = "jpeg", [jpeg(image, settings.jpeg_quality) for image in samples]
    repeated = np.repeat(given[None], len(samples), axis=0)
    return {f"consistency_{name}_psnr": float(psnr(np.stack(again), repeated).mean())}
