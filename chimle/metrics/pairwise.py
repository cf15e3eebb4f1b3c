"""Faithfulness and diversity: distances between samples, and between samples and targets."""

import numpy as np
import torch

from chimle.images.pyramid import to_tensor
from chimle.perceptual import Perceptual


def psnr(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of (N, H, W, C) uint8 pictures, higher is nearer: (N,).

    Identical pictures count as 8-bit rounding noise would, 58.9 dB, to stay finite.
    """
    difference = first.astype(np.float64) - second.astype(np.float64)
    error = np.square(difference).reshape(len(first), -1).mean(axis=1)
    return 10 * np.log10(255.0**2 / np.maximum(error, 1 / 12))


@torch.no_grad()
def lpips_to_targets(
    samples: np.ndarray, targets: np.ndarray, perceptual: Perceptual
) -> np.ndarray:
    """LPIPS of (N, S, H, W, 3) samples to their (N, H, W, 3) targets: (N, S), lower is nearer."""
    rows = []
    for pictures, target in zip(samples, targets, strict=True):
        features = perceptual.features(_on(to_tensor([target]), perceptual))
        rows.append(perceptual.distance(_on(to_tensor(list(pictures)), perceptual), features))
    return torch.stack(rows).cpu().numpy()


@torch.no_grad()
def pairwise_lpips(samples: np.ndarray, perceptual: Perceptual) -> np.ndarray:
    """Mean LPIPS between the S samples of each input: (N,), higher is more diverse."""
    means = []
    for pictures in samples:
        tensor = _on(to_tensor(list(pictures)), perceptual)
        features = perceptual.features(tensor)
        total, pairs = 0.0, 0
        for row in range(len(pictures) - 1):
            rest = tuple(feature[row + 1 :] for feature in features)
            one = tuple(feature[row : row + 1] for feature in features)
            distances = sum(
                (a - b).square().sum(dim=(1, 2, 3)) / (b.shape[2] * b.shape[3])
                for a, b in zip(rest, one, strict=True)
            )
            assert isinstance(distances, torch.Tensor)
            total += float(distances.sum())
            pairs += len(distances)
        means.append(total / pairs)
    return np.array(means)


def _on(tensor: torch.Tensor, perceptual: Perceptual) -> torch.Tensor:
    return tensor.to(next(perceptual.buffers()).device)
