"""Full-reference metrics per input: LPIPS, best of k, PSNR, SSIM."""

import math

import numpy as np
from skimage.metrics import structural_similarity

from chimle.metrics.metric import Group, Metric

METRICS = (
    Metric(
        "lpips_{features}_best_of_{count}",
        Group.NEAR,
        "perceptual distance of the nearest sample",
        "mean over inputs of min_j d(y_j, y*)",
        "Zhang et al. 2018, arXiv 1801.03924 (LPIPS v0.1)",
        0,
        None,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "lpips_{features}",
        Group.NEAR,
        "perceptual distance, mean over samples",
        "mean over inputs and j of d(y_j, y*)",
        "Zhang et al. 2018, arXiv 1801.03924 (LPIPS v0.1)",
        0,
        None,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "lpips_{features}_x2",
        Group.NEAR,
        "perceptual distance of images enlarged twice, mean over samples",
        "as `lpips_{features}`, all images enlarged to twice their size, bilinear, before the "
        "backbone",
        "Zhang et al. 2018, arXiv 1801.03924 (LPIPS v0.1)",
        0,
        None,
        higher_is_better=False,
        headline=True,
    ),
    Metric(
        "lpips_{features}_x2_best_of_{count}",
        Group.NEAR,
        "perceptual distance of the nearest sample, images enlarged twice",
        "mean over inputs of min_j of the distance of `lpips_{features}_x2`",
        "Zhang et al. 2018, arXiv 1801.03924 (LPIPS v0.1)",
        0,
        None,
        higher_is_better=False,
    ),
    Metric(
        "psnr",
        Group.NEAR,
        "PSNR to the target in dB, mean over samples",
        "10 log10(255^2 / mean squared error), the error taken as at least 1/12, which is 8-bit "
        "rounding: identical images count 58.9",
        "as scikit-image's peak_signal_noise_ratio",
        0,
        58.93,
        higher_is_better=True,
        headline=True,
    ),
    Metric(
        "ssim",
        Group.NEAR,
        "structural similarity, mean over samples",
        "mean over pixels and channels of (2 m m* + c1)(2 s + c2) / ((m^2 + m*^2 + c1)(v + v* + "
        "c2)), Gaussian window of deviation 1.5, c1 = 2.55^2, c2 = 7.65^2",
        "Wang et al. 2004, IEEE TIP 13(4); scikit-image's structural_similarity",
        -1,
        1,
        higher_is_better=True,
    ),
)


def psnr(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of (N, H, W, C) uint8 images, higher is nearer: (N,).

    Identical images count as 8-bit rounding noise would, 58.9 dB, to stay finite.
    """
    difference = first.astype(np.float64) - second.astype(np.float64)
    error = np.square(difference).reshape(len(first), -1).mean(axis=1)
    decibels: np.ndarray = 10 * np.log10(255.0**2 / np.maximum(error, 1 / 12))
    return decibels


def ssim(samples: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Structural similarity of (S, H, W, 3) uint8 samples to (H, W, 3): (S,), -1 to 1.

    Sides of at least 11 pixels; settings of the original paper.
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return np.array(
        [
            structural_similarity(sample, target, channel_axis=2, data_range=255, **options)
            for sample in samples
        ]
    )


def best_of(distances: np.ndarray) -> np.ndarray:
    """Expected smallest of k of an input's S distances, for k = 1 .. S.

    The mean over all choices of k without replacement, so that the order of samples does not
    matter: with sorted distances d_1 <= .. <= d_S, sum_i d_i C(S - i, k - 1) / C(S, k). At k = 1
    it is the mean, at k = S the minimum.

    Args:
        distances: (..., S).

    Returns:
        (..., S), one value per k, falling.
    """
    count = distances.shape[-1]
    chances = [
        [math.comb(count - i, k - 1) / math.comb(count, k) for k in range(1, count + 1)]
        for i in range(1, count + 1)
    ]
    expected: np.ndarray = np.sort(distances, axis=-1) @ np.array(chances)
    return expected
