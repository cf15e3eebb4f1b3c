"""JPEG files of smooth random images, and how far images are apart."""

import io

import numpy as np
from PIL import Image


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    """A random image with some detail, away from the ends of the range."""
    generator = np.random.default_rng(seed)
    small = generator.integers(60, 196, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noise = generator.integers(-10, 11, (height, width, 3))
    return (np.asarray(large).astype(int) + noise).clip(0, 255).astype(np.uint8)


def decibels(first: np.ndarray, second: np.ndarray) -> float:
    error = float(((first.astype(float) - second) ** 2).mean())
    return 100.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def jpeg_file(rgb: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
