"""The promise of the method, on a problem whose answers are known.

Every grey input has three equally likely answers, a red, a green and a blue tint; each training
input shows only one of them. CHIMLE must give all three for every input; direct regression settles
between them and gives none. The distance is the pixels' own: under it, what regression must settle
on, the mean, is known too.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from chimle.codes import draw
from chimle.data.batch import make_batch
from chimle.data.dataset import Pair
from chimle.images.pyramid import enlarge
from chimle.sampling import plain_names, sample
from chimle.settings import RunSettings, build_settings
from chimle.tower.generator import LevelCode, Tower
from chimle.training.loop import Trainer, level_losses

TINTS = np.array([[1.0, 0.3, 0.3], [0.3, 1.0, 0.3], [0.3, 0.3, 1.0]])
TRAINING = 36
"""Training pairs, each with one of the three answers."""
NEAR = 0.4
"""A picture lies on a mode when it is this much nearer to it than the middle of all modes is."""


def known_settings() -> RunSettings:
    return build_settings(
        {
            "task": "decompression",
            "preset": "test",
            "pair": {"size": 16},
            "tower": {
                "resolution": 16,
                "widths": [12, 8],
                "growth": [6, 4],
                "style_size": 4,
                "noise_channels": 2,
                "mapping_width": 16,
                "mapping_depth": 3,
            },
            "search": {"candidates": [12, 2], "chunk": 64},
            "train": {
                "rounds": 12,
                "images_per_round": TRAINING,
                "steps_per_round": 24,
                "batch_size": 8,
                "learning_rate": 3e-3,
                "mapping_rate": 1.0,
                "ema": 0.9,
            },
        },
        "test",
    )


def pairs(count: int, seed: int) -> list[Pair]:
    """Smooth grey inputs, each with the answer that happened to be observed."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(count):
        coarse = generator.integers(90, 230, (3, 3, 1), dtype=np.uint8).repeat(3, axis=2)
        grey = enlarge(coarse, (16, 16))
        target = np.rint(grey * TINTS[number % 3]).astype(np.uint8)
        made.append(Pair(f"{seed}_{number}", grey, target))
    return made


def on_modes(pictures: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Which of the modes each of (..., H, W, 3) pictures lies on: (..., 3) booleans."""
    tint = pictures.astype(float).mean(axis=(-3, -2)) / inputs.mean(axis=(-3, -2))
    away = np.linalg.norm(tint[..., None, :] - TINTS, axis=-1)
    return away < NEAR * np.linalg.norm(TINTS.mean(axis=0) - TINTS[0])


class PixelDistance(nn.Module):
    """Mean squared difference, with the interface of `Perceptual`."""

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images,)

    def distance(self, images: Tensor, target: tuple[Tensor, ...]) -> Tensor:
        difference = images.unflatten(0, (len(target[0]), -1)) - target[0].unsqueeze(1)
        return difference.square().mean(dim=(2, 3, 4)).flatten()


def test_chimle_covers_every_mode(tmp_path: Path) -> None:
    settings = known_settings()
    device = torch.device("cpu")
    trained = Trainer(
        settings, pairs(TRAINING, 0), PixelDistance(), tmp_path / "state.pt", device
    ).run()
    unseen = pairs(8, 1)
    batch = make_batch(settings.definition, settings.tower, unseen)
    samples = sample(trained.tower, batch.conditioning, batch.keys, plain_names(32, 2), seed=5)
    inputs = np.stack([pair.input for pair in unseen])[:, None]
    covered = on_modes(samples, inputs).any(axis=1)
    assert covered.all(), covered


def test_regression_covers_none() -> None:
    """Not even with fresh pairs in every step, so that nothing can be learnt by heart."""
    settings = known_settings()
    torch.manual_seed(0)
    distance = PixelDistance()
    tower = Tower(settings.tower, settings.definition.wiring)

    def silent(count: int) -> list[LevelCode]:
        index = torch.zeros((count, 1), dtype=torch.int64)
        codes = [
            draw(shape, range(count), index, level=level, seed=0)
            for level, shape in enumerate(tower.code_shapes())
        ]
        return [LevelCode(code.style * 0, code.noise * 0) for code in codes]

    optimizer = torch.optim.Adam(tower.parameters(), lr=3e-3)
    for step in range(200):
        batch = make_batch(settings.definition, settings.tower, pairs(12, 100 + step))
        targets = [distance.features(target) for target in batch.targets]
        loss = level_losses(tower, distance, batch, silent(12), targets).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = pairs(8, 1)
    with torch.no_grad():
        images = tower(
            make_batch(settings.definition, settings.tower, unseen).conditioning, silent(8)
        )
    pictures = images[-1].permute(0, 2, 3, 1).numpy() * 255
    assert not on_modes(pictures, np.stack([pair.input for pair in unseen])).any()
