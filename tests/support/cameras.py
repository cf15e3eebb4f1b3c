"""Drawn frames of a fixed camera: a sky over a town, by day, at dusk and at night."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (160, 120)
COLUMNS = (
    "dirty daylight night sunrisesunset dawndusk sunny clouds fog storm snow warm cold busy "
    "beautiful flowers spring summer autumn winter glowing colorful dull rugged midday dark bright "
    "dry moist windy rain ice cluttered soothing stressful exciting sentimental mysterious boring "
    "gloomy lush"
)
"""Those of Transient Attributes' annotations.tsv behind the image's path."""
NAMES = COLUMNS.split()


def scene(seed: int) -> np.ndarray:
    """Reflectance (120, 160, 3) in [0, 1]: sky above, houses below."""
    generator = np.random.default_rng(seed)
    height, width = SIZE[1], SIZE[0]
    image = np.ones((height, width, 3))
    for left in range(0, width, 10):
        top = int(generator.integers(40, 80))
        image[top:, left : left + 10] = generator.uniform(0.25, 0.7, 3)
    for _ in range(60):
        y, x = int(generator.integers(60, 115)), int(generator.integers(2, 155))
        image[y : y + 4, x : x + 3] = generator.uniform(0, 1, 3)
    return image


def frame(kind: str, seed: int, shift: tuple[int, int] = (0, 0), place: int = 0) -> np.ndarray:
    """(120, 160, 3) uint8; `shift` moves the scene right and down."""
    generator = np.random.default_rng(1000 + seed)
    base = scene(place)
    sky = np.all(base == 1, axis=-1, keepdims=True)
    above, below = {
        "day": ((0.8, 0.9, 1.0), 1.0),
        "overcast": ((0.78, 0.78, 0.78), 0.75),
        "dusk": ((0.3, 0.4, 0.8), 0.55),
        "night": ((0.15, 0.15, 0.2), 0.4),
    }[kind]
    image = base * np.where(sky, above, below) * generator.uniform(0.9, 1.0, 3)
    clouds = Image.fromarray(generator.uniform(0.75, 1.0, (4, 5)).astype(np.float32))
    image *= np.asarray(clouds.resize(SIZE, Image.Resampling.BICUBIC))[..., None]
    if kind in ("night", "dusk"):  # Some lit windows, others every night.
        for _ in range(8):
            y, x = int(generator.integers(60, 115)), int(generator.integers(2, 157))
            image[y : y + 2, x : x + 2] = (1.0, 0.8, 0.4)
    image = np.roll(image, (shift[1], shift[0]), axis=(0, 1))
    image += generator.normal(0, 0.005, image.shape)
    return np.asarray(np.rint(image.clip(0, 1) * 255), dtype=np.uint8)


def write_camera(folder: Path, kinds: dict[str, list[str]], place: int = 0) -> None:
    """PNG frames: `kinds` maps a kind to the names of its frames."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for kind, names in kinds.items():
        for name in names:
            number += 1
            Image.fromarray(frame(kind, number + 100 * place, place=place)).save(
                folder / f"{name}.png"
            )


def annotated(rows: dict[str, tuple[float, float]]) -> str:
    """Such a file: images with their values of `daylight` and `night`."""
    lines = []
    for file, (day, night) in rows.items():
        values = dict.fromkeys(NAMES, 0.3) | {"daylight": day, "night": night}
        lines.append("\t".join([file, *(f"{values[name]},0.8" for name in NAMES)]))
    return "\n".join(lines) + "\n"
