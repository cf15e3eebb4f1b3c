"""Power spectrum of samples against that of targets: hatching, blur and blocks in decibels.

Needs no network, and no gradient step minimises it; `train.equaliser` is fitted to it. An excess at
some frequencies is a pattern that targets do not have (hatching, blocks), a deficit at high
frequencies is blur.
"""

from collections.abc import Iterator

import numpy as np

from chimle.metrics.metric import Group, Metric

LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601)."""
ROUNDING_VARIANCE = 1 / 12
"""Variance of 8-bit rounding: the power of a constant image is taken as that of its rounding."""

METRICS = (
    Metric(
        "spectrum",
        Group.SETS,
        "difference of the power spectra, mean over frequencies, dB",
        "mean over spatial frequencies f of |10 log10(P(f) / P*(f))|, P and P* the mean power of "
        "luminance under a Hann window, of samples and of targets, but no less than that of 8-bit "
        "rounding, 1 <= f < side / 2 cycles per image; mean over the S sets of one sample per "
        "input",
        "radially unaveraged form of the spectra compared by Durall et al. 2020, arXiv 2003.01826",
        0,
        None,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "spectrum_excess",
        Group.SETS,
        "largest excess of power at any frequency, dB",
        "maximum over spatial frequencies f of 10 log10(P(f) / P*(f)), as for `spectrum`",
        "as `spectrum`",
        None,
        None,
        higher_is_better=False,
    ),
)


def _window(size: tuple[int, int]) -> np.ndarray:
    window: np.ndarray = np.outer(np.hanning(size[0]), np.hanning(size[1]))
    return window


def rounding_power(size: tuple[int, ...]) -> float:
    """Power at every frequency of an (H, W) image that is constant but for 8-bit rounding."""
    return float(ROUNDING_VARIANCE * np.square(_window((size[0], size[1]))).sum())


def power(images: np.ndarray) -> np.ndarray:
    """Power spectra (..., H, W) of the luminance of (..., H, W, 3) uint8 images."""
    window = _window((images.shape[-3], images.shape[-2]))
    grey = images.astype(np.float64) @ LUMINANCE
    centred = grey - grey.mean(axis=(-2, -1), keepdims=True)
    return np.asarray(np.abs(np.fft.fft2(centred * window)) ** 2)


def frequencies(size: tuple[int, int]) -> np.ndarray:
    """Which of (H, W) frequencies count: from one cycle per shorter side to below one half."""
    rows, columns = (np.fft.fftfreq(side) for side in size)
    radius = np.hypot(rows[:, None], columns[None])
    # One cycle per side is compared with a margin, for 1 / side has no exact binary form.
    return np.asarray((radius >= (1 - 1e-9) / min(size)) & (radius < 0.5))


def decibels(samples: np.ndarray, targets: np.ndarray, images: int) -> np.ndarray:
    """10 log10 of the ratio of powers, at the frequencies that count: (..., F).

    Args:
        samples: (..., H, W) powers, summed over images.
        targets: (H, W), the same.
        images: number of images that a sum is over.
    """
    size = (targets.shape[-2], targets.shape[-1])
    least = images * rounding_power(size)
    ratio = np.log10(np.maximum(samples, least) / np.maximum(targets, least))
    return np.asarray(10 * ratio[..., frequencies(size)])


class Spectrum:
    """Accumulates power spectra of inputs whose images have one size."""

    def __init__(self) -> None:
        self._samples: dict[tuple[int, int], np.ndarray] = {}
        self._targets: dict[tuple[int, int], np.ndarray] = {}
        self._inputs = 0

    def add(self, samples: np.ndarray, target: np.ndarray) -> None:
        """Add one input's (S, H, W, 3) samples and (H, W, 3) target, uint8."""
        size = (target.shape[0], target.shape[1])
        self._samples[size] = self._samples.get(size, 0) + power(samples)
        self._targets[size] = self._targets.get(size, 0) + power(target)
        self._inputs += 1

    def metrics(self) -> Iterator[tuple[str, np.ndarray]]:
        """`spectrum` and `spectrum_excess` (S,); nothing where images differ in size."""
        if len(self._targets) != 1:
            return
        ((size, targets),) = self._targets.items()
        ratios = decibels(self._samples[size], targets, self._inputs)
        yield "spectrum", np.abs(ratios).mean(axis=-1)
        yield "spectrum_excess", ratios.max(axis=-1)
