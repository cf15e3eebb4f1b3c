"""Known modes: a problem whose conditional distribution is known exactly.

An input is grey: a smooth image with fine detail. It has K equally likely targets, of which
each training pair shows one. They differ

- at the coarse level: one of three tints;
- at the fine level: the detail comes back weakly or strongly, as it is or inverted, which no
  image at half the size can show;
- or at both: every tint with every strength.

So samples on a mode and samples between modes can be distinguished, and modes be counted.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from torch import Tensor

from chimle.data.dataset import Pair
from chimle.images.pyramid import enlarge
from chimle.perceptual.distance import Distance, Features
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings

SIDE = 16
"""Pixels of an image's side; a tower of two levels makes 8 and 16."""
TINTS = ((1.0, 0.3, 0.3), (0.3, 1.0, 0.3), (0.3, 0.3, 1.0))
"""Factors on red, green and blue of the coarse modes."""
STRENGTHS = (-1.75, -0.75, 0.75, 1.75)
"""Factors on the detail of the fine modes. Their mean, which regression gives, is farther from
all of them than `NEAR` allows, even when it leans to one."""
DETAIL = 30.0
"""Amplitude of an input's detail, levels of 255."""
NEAR = 0.4
"""An image is on a mode when its smooth part and its detail both are nearer to the mode's than
this share of the least distance at which two modes of its input differ there (details: two modes
of one tint). From 0.5 on, an image could be on two modes."""


class Layout(StrEnum):
    """Where the targets of an input differ."""

    COARSE = "coarse"
    FINE = "fine"
    BOTH = "both"


class PixelDistance(Distance):
    """Mean squared difference of pixels: under it the best single sample, the mean, is known."""

    def features(self, images: Tensor) -> Features:
        """The images themselves."""
        return (images,)

    def distance(self, images: Tensor, target: Features) -> Tensor:
        """(B*K, 3, H, W) in [0, 1] to B targets: (B*K,)."""
        difference = images.unflatten(0, (len(target[0]), -1)) - target[0].unsqueeze(1)
        mean: Tensor = difference.float().square().mean(dim=(2, 3, 4))
        return mean.flatten()


def _parts(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smooth part and the detail of (..., H, W, C): means of 2x2 blocks, and what is left."""
    *more, height, width, channels = images.shape
    blocks = images.reshape(*more, height // 2, 2, width // 2, 2, channels)
    smooth = blocks.mean(axis=(-2, -4)).repeat(2, axis=-3).repeat(2, axis=-2)
    return smooth, images - smooth


def targets(image: np.ndarray, layout: Layout) -> np.ndarray:
    """All K equally likely targets of an input (H, W, 3) uint8: (K, H, W, 3) uint8."""
    smooth, detail = _parts(image[..., :1].astype(np.float64))
    tints = np.array(TINTS if layout is not Layout.FINE else ((0.7, 0.7, 0.7),))
    strengths = STRENGTHS if layout is not Layout.COARSE else (0.0,)
    made = [(smooth + s * detail) * tint for tint in tints for s in strengths]
    rounded: np.ndarray = np.rint(np.clip(made, 0, 255))
    return rounded.astype(np.uint8)


def draw_input(generator: np.random.Generator) -> np.ndarray:
    """A random grey input (H, W, 3) uint8."""
    coarse = generator.integers(90, 160, (3, 3, 1), dtype=np.uint8).repeat(3, axis=2)
    smooth = enlarge(coarse, (SIDE // 2, SIDE // 2)).repeat(2, axis=0).repeat(2, axis=1)
    detail = _parts(generator.choice((-DETAIL, DETAIL), (SIDE, SIDE, 1)))[1]
    rounded: np.ndarray = np.rint(smooth + detail)
    return rounded.astype(np.uint8)


def known_pairs(layout: Layout, count: int, seed: int) -> list[Pair]:
    """Inputs with the one target that happened to be observed, every mode equally often."""
    generator = np.random.default_rng((seed, list(Layout).index(layout)))
    pairs = []
    for number in range(count):
        image = draw_input(generator)
        every = targets(image, layout)
        pairs.append(Pair(f"{seed}_{number}", image, every[number % len(every)]))
    return pairs


@dataclass(frozen=True)
class ModeCoverage:
    """Modes that the samples cover.

    Attributes:
        modes: K.
        covered: share of an input's modes with at least one sample on them.
        frequency_error: total variation distance between the modes' shares of the samples on modes
            and 1/K; 1 where no sample is on a mode.
        least_error: the same for a perfect sampler with as many samples.
        off: share of samples on no mode.
    """

    modes: int
    covered: float
    frequency_error: float
    least_error: float
    off: float


def _rms_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square differences (A, B) of (A, H, W, 3) and (B, H, W, 3)."""
    flat = [p.reshape(len(p), -1).astype(np.float64) for p in (first, second)]
    squares = np.square(flat[0][:, None] - flat[1][None]).mean(axis=2)
    return np.asarray(np.sqrt(squares))


def _least(between: np.ndarray) -> float:
    """The least distance (K, K) at which two modes differ; 0 where none do."""
    differing = between[between > 1]
    return float(differing.min()) if differing.size else 0.0


def nearest_modes(samples: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Index of the mode that each sample is on, -1 for none: (S,).

    Args:
        samples: (S, H, W, 3) uint8.
        every: (K, H, W, 3) uint8, all targets of the input.
    """
    own, modes = (_parts(images.astype(np.float64)) for images in (samples, every))
    coarse, fine = (_rms_distances(part, part) for part in modes)
    # Compare details within one tint only: between tints the same detail differs as well.
    least = [_least(coarse), _least(np.where(coarse > 1, 0, fine))]
    # Where modes do not differ, the tolerance is that of the other part.
    allowed = [NEAR * (one or max(least)) for one in least]
    away = [_rms_distances(a, b) / limit for a, b, limit in zip(own, modes, allowed, strict=True)]
    worst = np.maximum(*away)
    return np.where(worst.min(axis=1) < 1, worst.argmin(axis=1), -1)


def _variation(counts: np.ndarray) -> np.ndarray:
    """Total variation distances (...,) of counts (..., K) from equal shares."""
    total = counts.sum(axis=-1, keepdims=True)
    shares = counts / np.maximum(total, 1)
    far = np.abs(shares - 1 / counts.shape[-1]).sum(axis=-1) / 2
    return np.where(total[..., 0] > 0, far, 1.0)


def mode_coverage(samples: np.ndarray, inputs: list[np.ndarray], layout: Layout) -> ModeCoverage:
    """Mode coverage of (N, S, H, W, 3) uint8 samples of N inputs."""
    counts, off = [], []
    for own, image in zip(samples, inputs, strict=True):
        every = targets(image, layout)
        modes = nearest_modes(own, every)
        counts.append(np.bincount(modes[modes >= 0], minlength=len(every)))
        off.append((modes < 0).mean())
    table = np.stack(counts)
    number, samples = table.shape[1], samples.shape[1]
    perfect = np.random.default_rng(0).multinomial(samples, np.full(number, 1 / number), 1000)
    return ModeCoverage(
        modes=number,
        covered=float((table > 0).mean()),
        frequency_error=float(_variation(table).mean()),
        least_error=float(_variation(perfect).mean()),
        off=float(np.mean(off)),
    )


def known_settings() -> ModelSettings:
    """CHIMLE on this problem: a small tower of two levels."""
    return build_settings(
        ModelSettings,
        {
            "task": "decompression",  # Its wiring: input and output have equal size.
            "preset": "known_modes",
            "tower": {
                "resolution": SIDE,
                "widths": [12, 12],
                "growth": [6, 6],
                "style_size": 4,
                "noise_channels": 2,
                "mapping_width": 16,
                "mapping_depth": 3,
            },
            "search": {"candidates": [8, 8]},
            "train": {
                "rounds": 12,
                "images_per_round": 96,
                "steps_per_round": 60,
                "batch_size": 12,
                "learning_rate": 6e-3,
                "mapping_rate": 1.0,
                "ema": 0.97,
                "augment": False,
            },
        },
        "known modes",
    )
