"""Fitting a finished tower's equaliser to its training pairs (`chimle.tower.equaliser`)."""

from collections.abc import Sequence

import numpy as np
import torch

from chimle.data.augmentation import centre
from chimle.data.dataset import Pair
from chimle.data.even_spacing import evenly_spaced
from chimle.inference.sampling import sample_pairs, stacked_samples
from chimle.metrics.spectrum import power, rounding_power
from chimle.tasks import Task
from chimle.tower.equaliser import equaliser_side
from chimle.tower.generator import Tower

PAIRS = 512
"""At most so many pairs are compared, evenly spaced."""
SAMPLES = 2
"""Samples per pair."""
TURNS = 2
"""The filter is corrected by what samples with it have: agreement and clamping act after it."""
SMOOTHING = 0.5
"""Standard deviation of the Gaussian that ratios are smoothed by, in steps of one cycle per image:
the powers of a few hundred images are noisy."""
COARSEST = 2.0
"""Gains vanish below about so many cycles per side of the filter: a filter cannot tell slower waves
from the mean, which it keeps."""


def smoothed(values: np.ndarray) -> np.ndarray:
    """(n, n) values by frequency, averaged over neighbouring frequencies."""
    steps = np.fft.fftfreq(len(values))
    window = np.exp(-0.5 * (2 * np.pi * SMOOTHING * steps) ** 2)
    return np.asarray(np.fft.fft2(np.fft.ifft2(values) * np.outer(window, window)).real)


def filter_of(logarithms: np.ndarray, side: int) -> np.ndarray:
    """The filter (side, side) of gains whose logarithms (n, n) are given by frequency.

    Symmetric, its sum 1, and zero towards its border: what lies farther away is cut off gently.
    """
    rows = np.fft.fftfreq(len(logarithms)) * side / COARSEST
    fine = 1 - np.exp(-np.square(rows[:, None]) - np.square(rows[None]))
    kernel = np.fft.fftshift(np.fft.ifft2(np.exp(smoothed(logarithms) * fine)).real)
    first = len(kernel) // 2 - side // 2
    kernel = kernel[first : first + side, first : first + side]
    window = np.hanning(side + 2)[1:-1]
    kernel = (kernel + kernel[::-1, ::-1]) / 2 * np.outer(window, window)
    return np.asarray(kernel / kernel.sum())


def _log_power(images: np.ndarray) -> np.ndarray:
    """Logarithm of the mean power (n, n) of (N, n, n, 3) uint8 images."""
    mean = np.mean([power(image) for image in images], axis=0)
    return np.asarray(np.log(np.maximum(mean, rounding_power(mean.shape))))


def fit_equaliser(tower: Tower, task: Task, pairs: Sequence[Pair], share: float) -> None:
    """Give a tower the filter that brings its samples' power spectrum towards the targets'.

    Args:
        tower: without a filter; of a task whose finest output is an RGB image.
        task: of the pairs.
        pairs: of the training split.
        share: from 0 to 1, of what samples lack, in decibels, that the filter adds; what they have
            too much of is taken away whole.
    """
    resolution = tower.settings.resolution
    rows = evenly_spaced(len(pairs), PAIRS)
    held = [centre(pairs[row], task, resolution) for row in rows]
    targets = _log_power(np.stack([pair.target for pair in held]))
    gains, wanted = np.zeros_like(targets), None
    for _ in range(TURNS):
        samples = stacked_samples(sample_pairs(tower, task, held, SAMPLES))
        found = _log_power(samples.reshape(-1, *samples.shape[2:]))
        if wanted is None:
            lacking = targets - found
            wanted = found + np.where(lacking > 0, share, 1) * lacking
        # A gain acts on amplitudes, whose squares are powers.
        gains += (wanted - found) / 2
        kernel = torch.from_numpy(filter_of(gains, equaliser_side(resolution))).float()
        tower.equaliser = kernel.to(next(tower.parameters()).device)
