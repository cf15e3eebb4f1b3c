"""Inputs made from photographs: reduced, grey, crushed or dark.

Everything is done by Pillow or exact formulas on 8-bit images, so that anyone can look at what a
model saw, and an image and its parameters always give the same bytes.
"""

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image

from chimle.errors import UserError
from chimle.images.pyramid import reduce, to_tensor, to_uint8
from chimle.settings.degradation import DegradationSettings
from chimle.tasks import Degradation, Task

LONGEST_JPEG = 65_500
"""Pixels of a side that libjpeg writes at most."""
Degraded = tuple[np.ndarray, dict[str, Any]]


def grey(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to the neutral grey of the same Lab lightness, three equal channels."""
    import torch

    from chimle.images.colour import lab_to_rgb, lightness

    light = lightness(to_tensor([rgb]))
    lab = torch.cat((100 * light, torch.zeros_like(light), torch.zeros_like(light)), dim=1)
    neutral = to_uint8(lab_to_rgb(lab))[0]
    # Lab's rounded white point leaves neutrals off by a last place: make them exactly neutral.
    return np.repeat(neutral[..., 1:2], 3, axis=2)


def jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 3) uint8 through Pillow's JPEG encoder and back; `UserError` for too long a side."""
    height, width = rgb.shape[:2]
    if max(height, width) > LONGEST_JPEG:
        raise UserError(
            f"{width}x{height} pixels do not fit into a JPEG file, whose sides have at most "
            f"{LONGEST_JPEG:,}: crop or reduce the image first"
        )
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=quality)
    with warnings.catch_warnings(action="ignore"):  # Of a large image, which is this one.
        return np.array(Image.open(buffer).convert("RGB"))


def night(rgb: np.ndarray, exposure: float, noise: float, seed: int) -> Degraded:
    """A rendered night of (H, W, 3) uint8: dark, blue, with lamps and sensor noise.

    In linear light the image is dimmed to `exposure` of its brightness and cooled, one to three
    warm lamps light their surroundings (the scene's own reflectance times a Gaussian pool), and
    Gaussian noise of standard deviation `noise` is added after the sRGB curve.
    """
    generator = np.random.default_rng(seed)
    height, width = rgb.shape[:2]
    day = (rgb / 255.0) ** 2.2
    level = exposure * generator.uniform(0.7, 1.3)
    balance = np.array([0.75, 0.9, 1.35])
    light = np.broadcast_to(level * balance, day.shape).copy()
    rows, columns = np.mgrid[0:height, 0:width]
    lamps = []
    for _ in range(generator.integers(1, 4)):
        y, x = generator.uniform(0, height), generator.uniform(0, width)
        radius = generator.uniform(0.08, 0.2) * max(height, width)
        strength = generator.uniform(0.3, 0.8)
        pool = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2))
        light += strength * pool[..., None] * np.array([1.0, 0.75, 0.4])
        lamps.append([round(float(v), 3) for v in (x, y, radius, strength)])
    dark = (day * light).clip(0, 1) ** (1 / 2.2)
    dark += generator.normal(0, noise, dark.shape)
    parameters = {
        "rendered": True,
        "exposure": round(float(level), 4),
        "white_balance": balance.tolist(),
        "lamps_x_y_radius_strength": lamps,
        "noise": noise,
        "seed": seed,
    }
    return np.rint(dark.clip(0, 1) * 255).astype(np.uint8), parameters


def parameters_of(task: Task, settings: DegradationSettings) -> dict[str, Any]:
    """The parameters that a task's degradation takes, by their names in the settings."""
    names = {
        Degradation.JPEG: ("jpeg_quality",),
        Degradation.NIGHT: ("night_exposure", "night_noise"),
    }
    return {name: getattr(settings, name) for name in names.get(task.degradation, ())}


def degrade(target: np.ndarray, task: Task, settings: DegradationSettings, seed: int) -> Degraded:
    """The input that belongs to a target, and how it was made.

    Args:
        target: (H, W, 3) uint8; for super-resolution H and W are multiples of the reduction.
        task: which degradation.
        settings: its parameters.
        seed: seed of what is random in it.

    Returns:
        (h, w, 3) uint8, and the parameters for the manifest.

    Raises:
        UserError: a side is too long for JPEG, where the degradation is JPEG's.
    """
    height, width = target.shape[:2]
    kind = str(task.degradation)
    match task.degradation:
        case Degradation.REDUCE:
            size = (height // task.reduction, width // task.reduction)
            return reduce(target, size), {"kind": kind, "factor": task.reduction}
        case Degradation.LIGHTNESS:
            return grey(target), {"kind": kind}
        case Degradation.JPEG:
            quality = settings.jpeg_quality
            return jpeg(target, quality), {"kind": kind, "quality": quality}
        case Degradation.NIGHT:
            image, own = night(target, settings.night_exposure, settings.night_noise, seed)
            return image, {"kind": kind, **own}
