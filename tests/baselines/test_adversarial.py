"""The conditional GAN: what its losses see, and what mode seeking and the discriminator make."""

from pathlib import Path

import pytest
import torch

from chimle.baselines.adversarial import AdversarialTrainer, Discriminator, mode_seeking
from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
)
from chimle.baselines.methods import adapt, get_method
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.tower.generator import LevelCode
from chimle.training.execution import Execution


def trained_against_a_discriminator(folder: Path, **changes: dict[str, object]) -> torch.Tensor:
    """The tower's weights after two steps."""
    own = adapt(known_settings(), get_method("cgan"), 3, 12)
    values = own.model_dump(mode="json")
    values["train"] |= {"rounds": 1, "steps_per_round": 2, "images_per_round": 12}
    for section, fields in changes.items():
        values[section] |= fields
    settings = build_settings(ModelSettings, values, "a test")
    folder.mkdir()
    execution = Execution(folder / "state.pt", torch.device("cpu"))
    pairs = known_pairs(Layout.COARSE, 12, 0)
    tower = AdversarialTrainer(settings, pairs, PixelDistance(), execution).run().tower
    return torch.cat([parameter.flatten() for parameter in tower.parameters()])


def test_the_conditional_gan_takes_views_and_weights_of_levels(tmp_path: Path) -> None:
    cases: list[dict[str, dict[str, object]]] = [
        {},
        {"train": {"level_weights": [1, 1]}},
        {"train": {"level_weights": [9, 1]}},
        {"perceptual": {"shift": 7}},
    ]
    found = [
        trained_against_a_discriminator(tmp_path / str(number), **changes)
        for number, changes in enumerate(cases)
    ]
    same = [torch.equal(found[0], other) for other in found]
    assert same == [True, True, False, False]


def test_mode_seeking_prefers_images_that_differ() -> None:
    codes = [LevelCode(torch.randn(4, 3), torch.randn(4, 1, 2, 2))]
    numbers = torch.cat([codes[0].style, codes[0].noise.flatten(1)], dim=1)
    apart = (numbers[0::2] - numbers[1::2]).abs().mean(dim=1)
    images = torch.zeros(4, 3, 8, 8)
    images[1::2] = 0.5
    expected = (1 / (0.5 / apart + 1e-5)).mean()
    assert float(mode_seeking(images, codes)) == pytest.approx(float(expected), rel=1e-5)
    assert mode_seeking(images * 0.1, codes) > mode_seeking(images, codes)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_discriminator_scores_patches(channels: int) -> None:
    discriminator = Discriminator(channels)
    scores = discriminator(torch.rand(2, 3, 32, 32), torch.rand(2, channels, 4, 4))
    assert scores.shape == (2, 1, 4, 4)
