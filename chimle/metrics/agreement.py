"""Agreement with the input: degrade a sample again and compare it with the input; per input.

A sample that contradicts its input is no possible output, however good it looks. Everything is
computed from 8-bit samples, by other code than what training enforces agreement with.
"""

from collections.abc import Callable

import numpy as np

from chimle.images.colour import lightness
from chimle.images.degrade import jpeg
from chimle.images.pyramid import reduce, to_tensor
from chimle.metrics.full_reference import psnr
from chimle.metrics.jpeg_coefficients import quantisation, share_within
from chimle.metrics.metric import Group, Metric
from chimle.settings.degradation import DegradationSettings
from chimle.tasks import Degradation, Task

BLACK = 1.0
"""Lightness, of 100, below which a pixel of the input is black: sRGB levels 0 to 3 of 255."""

METRICS = (
    Metric(
        "agreement_psnr",
        Group.AGREES,
        "agreement with the input, dB",
        "super-resolution: PSNR of the sample, reduced by Pillow's antialiased bicubic filter, "
        "with the input; decompression: of the sample, through the same JPEG encoder at the same "
        "quality, with the input; mean over inputs and samples",
        "as LR-PSNR of Lugmayr et al. 2021, NTIRE 2021 Learning the Super-Resolution Space "
        "Challenge, with Pillow's filter; ITU-T T.81 (JPEG), Pillow's encoder",
        0,
        58.93,
        higher_is_better=True,
        headline=True,
    ),
    Metric(
        "agreement_lightness",
        Group.AGREES,
        "error of lightness against the input, of 100",
        "mean over pixels of |L(y_j) - L(x)|, L the Lab lightness (D65, 2 degrees); mean over "
        "inputs and samples",
        "CIE 1976 L*a*b*",
        0,
        100,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "agreement_black",
        Group.AGREES,
        "error of lightness where the input is black, of 100",
        f"mean of |L(y_j) - L(x)| over pixels of all inputs with L(x) < {BLACK:g}; absent if there "
        "are none",
        "CIE 1976 L*a*b*",
        0,
        100,
        higher_is_better=False,
    ),
    Metric(
        "agreement_coefficients",
        Group.AGREES,
        "share of DCT coefficients that the input's JPEG file allows",
        "share of DCT coefficients of 8x8 blocks, chrominance subsampled as in the file, within "
        "half a quantisation step of the input's; mean over inputs and samples",
        "ITU-T T.81 (JPEG)",
        0,
        1,
        higher_is_better=True,
        headline=True,
    ),
)


def _again(
    samples: np.ndarray, given: np.ndarray, degraded: Callable[[np.ndarray], np.ndarray]
) -> float:
    """Mean PSNR of degraded samples with the input."""
    repeated = np.repeat(given[None], len(samples), axis=0)
    return float(psnr(np.stack([degraded(sample) for sample in samples]), repeated).mean())


def agreement(
    samples: np.ndarray, given: np.ndarray, task: Task, settings: DegradationSettings
) -> dict[str, float]:
    """Agreement of (S, H, W, 3) samples with their input (h, w, 3), uint8.

    Nothing for night to day: its degradation is unknown.
    """
    match task.degradation:
        case Degradation.REDUCE:
            size = (given.shape[0], given.shape[1])
            return {"agreement_psnr": _again(samples, given, lambda image: reduce(image, size))}
        case Degradation.LIGHTNESS:
            return {"agreement_lightness": float(_lightness_errors(samples, given).mean())}
        case Degradation.JPEG:
            quality = settings.jpeg_quality
            share = share_within(samples, given, quantisation(quality))
            return {
                "agreement_coefficients": float(share.mean()),
                "agreement_psnr": _again(samples, given, lambda image: jpeg(image, quality)),
            }
        case Degradation.NIGHT:
            return {}


def black_errors(samples: np.ndarray, given: np.ndarray, task: Task) -> np.ndarray:
    """Errors of lightness (S * P,), of 100, at the P black pixels of a colourization's input."""
    if task.degradation is not Degradation.LIGHTNESS:
        return np.zeros(0)
    black = _lightness(given[None])[0] < BLACK
    return _lightness_errors(samples, given)[:, black].ravel()


def _lightness(images: np.ndarray) -> np.ndarray:
    """Lab lightness (N, H, W), of 100, of (N, H, W, 3) uint8."""
    return np.asarray(100 * lightness(to_tensor(list(images)))[:, 0].double().numpy())


def _lightness_errors(samples: np.ndarray, given: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(_lightness(samples) - _lightness(given[None])))
