"""The diffusion model: its size, and what it predicts of a colourization."""

import pytest
import torch

from chimle.baselines.known_modes.mode_problem import known_settings
from chimle.baselines.parameter_matching import tower_parameters
from chimle.errors import UserError
from chimle.images.colour import chroma_to_rgb, lightness, rgb_to_chroma


def test_methods_are_of_one_size() -> None:
    pytest.importorskip("diffusers")
    from chimle.baselines.diffusion import matched_unet

    for count in (tower_parameters(known_settings()), 300_000, 900_000):
        unet = matched_unet(count, 6, 3)
        assert abs(sum(p.numel() for p in unet.parameters()) / count - 1) <= 0.1


def test_a_tower_too_small_for_any_unet_is_a_sentence() -> None:
    pytest.importorskip("diffusers")
    from chimle.baselines.diffusion import matched_unet

    with pytest.raises(UserError, match="leave `diffusion` out"):
        matched_unet(2_000, 6, 3)


def test_chroma_is_what_makes_the_image() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    made = chroma_to_rgb(lightness(images), rgb_to_chroma(images))
    assert (made - images).abs().max() < 0.02
