"""Which directions a perceptual distance favours.

    python -m benchmarks.orientation TASK [--root DIR] [--images 100]

Adds grain of one direction at a time to the blurred targets of `data/pairs/TASK`, training split,
and prints its distance to the targets, per scale. Grain of every direction is the same noise, of
the same wavelength and contrast: a distance without preference has one number per row, but for what
the targets themselves favour.
"""

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import machine
from chimle.data.augmentation import centre
from chimle.data.dataset import PairIndex
from chimle.images.pyramid import to_tensor
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import load_settings

ANGLES = tuple(22.5 * step for step in range(8))
"""Directions in which the grain varies, degrees: 0 along rows, 90 down the columns."""
WAVELENGTHS = (8.0, 5.0, 3.0)
"""Pixels."""
CONTRAST = 0.06
"""Standard deviation of the grain, of values in [0, 1]."""
BLUR = 4
"""Pixels of the targets' squares that a blurred one averages."""


def grain(noise: Tensor, wavelength: float, angle: float) -> Tensor:
    """Noise (B, 1, S, S) of about one wavelength and direction; standard deviation 1."""
    side = noise.shape[-1]
    across = torch.fft.fftfreq(side)[None]
    down = torch.fft.fftfreq(side)[:, None]
    frequency = 1 / wavelength
    turned = torch.atan2(down, across) - math.radians(angle)
    direction = torch.remainder(turned + math.pi / 2, math.pi) - math.pi / 2
    band = (torch.hypot(down, across) - frequency) / (frequency / 4)
    kept = torch.exp(-(band.square() + (direction / 0.25).square()) / 2)
    found: Tensor = torch.fft.ifft2(torch.fft.fft2(noise) * kept).real
    return found.div(found.std())


def distances(perceptual: Perceptual, targets: Tensor, wavelength: float) -> list[float]:
    """Mean distance to targets (B, 3, S, S) of their blurred versions: without grain, per angle."""
    blurred = F.interpolate(F.avg_pool2d(targets, BLUR), scale_factor=BLUR, mode="bicubic")
    noise = torch.randn(targets[:, :1].shape, generator=torch.Generator().manual_seed(0))
    grains = [torch.zeros_like(noise), *(grain(noise, wavelength, angle) for angle in ANGLES)]
    found = []
    for added in grains:
        grainy = (blurred + CONTRAST * added).clamp(0, 1)
        parts = zip(grainy.split(16), targets.split(16), strict=True)
        found.append(float(torch.cat([perceptual(*part) for part in parts]).mean()))
    return found


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    settings = load_settings(ModelSettings, options.task, options.root)
    pairs = PairIndex(options.root / "data" / "pairs" / options.task, "train")[: options.images]
    side = settings.tower.resolution
    targets = to_tensor([centre(pair, settings.definition, side).target for pair in pairs])
    perceptual = load_perceptual(settings.perceptual, root=options.root)
    print(f"{machine()}; N = {len(targets)}, {perceptual.info.name}\n")
    angles = " | ".join(f"{angle:g}°" for angle in ANGLES)
    print(f"| scale | wavelength | no grain | {angles} |\n|{'---|' * (len(ANGLES) + 3)}")
    for scale in settings.perceptual.scales:
        for wavelength in WAVELENGTHS:
            row = distances(perceptual.at_scales(scale), targets, wavelength)
            cells = " | ".join(f"{value:.4f}" for value in row)
            print(f"| {scale} | {wavelength:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
